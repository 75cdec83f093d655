"""Run a replay that was asked for, and say what came of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from cli.printing.tables import print_lines
from cli.replay.printing import Outcome, summary_lines
from cli.replay.progress_bars import line_for, shown_progress
from cli.replay.saved_replays import Replay, ReplayError, save
from cli.replay.selection import Part
from consumer.account.account import Account
from consumer.account.runtime import Deployment
from consumer.account.settings import ConsumerSettings
from consumer.replay.replayer import ReplayObserver, ReplayOrder, StaysParkedError, replay, replay_group
from schemas.target import Target
from streams.client.errors import KafkaUnreachableError
from streams.cluster.groups import delete_group

log = structlog.get_logger()

LEAST_IN_FLIGHT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a replay works with. `account` returns that of a target and raises ConfigError."""

    deployment: Deployment
    settings: ConsumerSettings
    data: Path
    account: Callable[[Target], Account]


async def send(found: Replay, pairs: Sequence[tuple[Account, Part]], tools: Tools) -> None:
    """Send, and say how to go on where that is interrupted. Raises ReplayError where not everything got through."""
    how = f"audience replay --resume {found.id}"
    print_lines([f"Replay {found.id}; if it is interrupted, go on by: {how}"])
    outcomes = [Outcome(target=account.target, records=len(part.wishes)) for account, part in pairs]
    in_flight = max(LEAST_IN_FLIGHT, tools.settings.in_flight // len(pairs))
    shared = tools.settings.model_copy(update={"in_flight": in_flight})
    try:
        with shown_progress() as progress:
            sending = [
                _send_one(account, part, found, shared, tools.deployment, line_for(outcome, progress))
                for (account, part), outcome in zip(pairs, outcomes, strict=True)
            ]
            ends = await asyncio.gather(*sending, return_exceptions=True)
    finally:
        print_lines(summary_lines(outcomes))
        if any(outcome.unfinished for outcome in outcomes):
            print_lines([f"Not finished. Go on by: {how}"])
    for end in ends:
        if isinstance(end, BaseException) and not isinstance(end, StaysParkedError):
            raise end
    if not any(outcome.unfinished for outcome in outcomes):
        await _close(found, [account.target for account, _ in pairs], tools)
    _judge(outcomes)


async def _send_one(
    account: Account,
    part: Part,
    found: Replay,
    settings: ConsumerSettings,
    deployment: Deployment,
    observer: ReplayObserver,
) -> None:
    try:
        await replay(account, settings, deployment, _order(found, part), observer)
    except ExceptionGroup as group:
        raise group.exceptions[0] from group


def _order(found: Replay, part: Part) -> ReplayOrder:
    return ReplayOrder(
        replay_id=found.id,
        wishes=part.wishes,
        rate=found.rate,
        with_attributes=found.with_attributes,
        removed=part.removed,
    )


async def _close(found: Replay, targets: Sequence[Target], tools: Tools) -> None:
    """1. Note that nothing is left. 2. Delete the groups, which would seem to fall behind as the log goes on."""
    await asyncio.to_thread(save, tools.data, msgspec.structs.replace(found, is_done=True))
    for target in targets:
        group_id = replay_group(target, tools.deployment.names.prefix, found.id)
        try:
            await delete_group(tools.deployment.kafka, group_id)
        except KafkaUnreachableError as error:
            log.warning("The group of a replay is left behind.", group=group_id, why=str(error))


def _judge(outcomes: Sequence[Outcome]) -> None:
    """Raises ReplayError where not everything got through."""
    unfinished = sum(outcome.unfinished for outcome in outcomes)
    failed = sum(outcome.ends["failed"] for outcome in outcomes)
    if unfinished:
        raise ReplayError(f"{unfinished} records are not sent yet")
    if failed:
        raise ReplayError(f"{failed} records failed; `audience dead-letters list` tells why")
