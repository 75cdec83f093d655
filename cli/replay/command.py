"""`audience replay`: send again what is in the log, to the accounts that are to have it."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import zip_longest

import msgspec

from cli.printing.tables import print_lines
from cli.replay.plan import estimate, planned
from cli.replay.printing import plan_lines
from cli.replay.run import Tools, send
from cli.replay.saved_replays import Replay, ReplayError, alone, find, new_id, save
from cli.replay.selection import Choice
from consumer.account.runtime import Deployment
from schemas.records import Origin, is_of_log
from schemas.target import Target, parse_target
from streams.cluster.topic_watch import held_partitions
from streams.read.tail import cluster_id, end_offsets

DEFAULT_RATE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asked for. Of a replay that is resumed only its id counts, and a rate that is given anew."""

    choice: Choice
    targets: Sequence[Target]
    rate: float | None
    with_attributes: bool
    resume: str | None
    is_dry: bool
    is_sure: bool


def asked_for(options: argparse.Namespace, targets: Sequence[Target]) -> Asked:
    """Return what the command line asks for. Raises ReplayError where that may be more than somebody meant."""
    choice = Choice(
        session_id=options.session,
        name=options.audience,
        type=options.type,
        batch_id=options.batch,
        origin=options.origin,
        since=options.since,
        until=options.until,
        only=options.only,
        reasons=tuple(options.reason or ()),
    )
    if options.resume and (choice != Choice() or options.provider or options.with_attributes):
        raise ReplayError("a replay that is resumed keeps what was chosen: give --resume, --rate, --yes or --dry-run")
    if not options.resume:
        _check(choice)
    return Asked(
        choice=choice,
        targets=tuple(dict.fromkeys(targets)),
        rate=options.rate,
        with_attributes=options.with_attributes,
        resume=options.resume,
        is_dry=options.dry_run,
        is_sure=options.yes,
    )


def _check(choice: Choice) -> None:
    if not choice.is_narrow:
        raise ReplayError(
            "say what to send again: --since 2h, --session, --audience, --batch, --origin, or --only failed; "
            "all that the log holds is --since 30d"
        )
    if choice.type and choice.name is None:
        raise ReplayError("--type: say which --audience it is of")
    if choice.since and choice.until and choice.since > choice.until:
        raise ReplayError("--until: give a time after --since")


def _check_place(choice: Choice, log: str) -> None:
    if choice.origin is not None and choice.origin.topic != log:
        raise ReplayError(f"--origin: the log is {log}, and nothing else is sent again, such as {log}-3@17")


async def run_replay(asked: Asked, tools: Tools) -> None:
    """1. Choose, and show what would be sent. 2. Ask. 3. Keep what was asked for. 4. Send. 5. Say what came of it.

    Raises ReplayError where that can't begin or not everything got through, ConfigError, StreamError, and
    NotAllReadError where some of what says what to send could not be read, so that not all may have been sent.
    """
    _check_place(asked.choice, tools.deployment.names.batches)
    found = await _resumed(asked, tools) if asked.resume else await _begun(asked, tools)
    accounts = [tools.account(parse_target(text)) for text in found.targets]
    plan = await planned(found, [account.target for account in accounts], tools.deployment)
    parts = plan.parts
    pairs = [(account, part) for account, part in zip(accounts, parts, strict=True) if part.wishes]
    print_lines(plan_lines(parts, [estimate(*each, found.rate) for each in zip(accounts, parts, strict=True)]))
    print_lines(await _held_up(tools.deployment))
    if asked.resume:
        print_lines(["Of these, what was finished before is left out."])
    if not pairs or asked.is_dry:
        plan.check()
        if not pairs and asked.choice.origin is not None:
            raise ReplayError(f"nothing can be sent of {asked.choice.origin}: no such record stands in the log")
        print_lines(["Nothing is sent: this is a dry run." if pairs else "There is nothing to send."])
        return
    if not asked.is_sure:
        await _confirm()
    with alone(tools.data, found.id):
        await asyncio.to_thread(save, tools.data, found)
        await send(found, pairs, tools)
    plan.check()


async def _held_up(deployment: Deployment) -> Sequence[str]:
    """Say which open transactions of publishers hide what stands in the log after their beginning."""
    held = await held_partitions(deployment.kafka, deployment.names.batches)
    places = [
        Origin(topic=deployment.names.batches, partition=number, offset=offset) for number, offset in held.items()
    ]
    return [f"A publisher's transaction is open at {place}: what stands after that is left out." for place in places]


async def _begun(asked: Asked, tools: Tools) -> Replay:
    """Return a new replay, up to the log's end as it is now."""
    return Replay(
        id=new_id(),
        created_at=datetime.now(UTC),
        log=await _log(tools.deployment),
        log_id=tools.deployment.log_id,
        ends=await end_offsets(tools.deployment.kafka, tools.deployment.names.batches),
        targets=[str(target) for target in asked.targets],
        choice=asked.choice,
        rate=asked.rate or DEFAULT_RATE,
        with_attributes=asked.with_attributes,
    )


async def _resumed(asked: Asked, tools: Tools) -> Replay:
    found = await asyncio.to_thread(find, tools.data, asked.resume or "")
    if found.log != await _log(tools.deployment):
        raise ReplayError(f"{found.id} is of another Kafka or topic: set what was set at its start")
    now = await end_offsets(tools.deployment.kafka, tools.deployment.names.batches)
    is_beyond = any(end > at for end, at in zip_longest(found.ends, now, fillvalue=0))
    if is_beyond or not is_of_log(found.log_id, tools.deployment.log_id):
        raise ReplayError(f"{found.id} is of a log that was deleted and made anew since: begin a new replay")
    if found.is_done:
        raise ReplayError(f"{found.id} is complete; send what failed by a new one, with --only failed")
    return msgspec.structs.replace(found, rate=asked.rate or found.rate)


async def _log(deployment: Deployment) -> str:
    return f"{await cluster_id(deployment.kafka)}/{deployment.names.batches}"


async def _confirm() -> None:
    """Ask whether to send. Raises ReplayError where nobody says yes."""
    if not sys.stdin.isatty():
        raise ReplayError("nothing is sent: there is no terminal to ask on; say --yes")
    sys.stderr.write("Send this? [y/N] ")
    sys.stderr.flush()
    loop, is_typed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), is_typed.set)  # a thread that reads would outlive Ctrl-C
    try:
        await is_typed.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ReplayError("nothing is sent")
