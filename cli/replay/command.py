"""`audience replay`: send again what is in the log, to the accounts that are to have it."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest

import msgspec
from rich.console import Console

from cli.arguments import add_accounts_argument, reason, session
from cli.command import Command
from cli.errors import UsageError
from cli.printing.logs import configure_logs
from cli.printing.tables import print_lines
from cli.replay.listing import Replays
from cli.replay.log_scan import estimate, planned
from cli.replay.printing import plan_lines, print_replays, stopped_line
from cli.replay.request import Asked, asked_for, check_place
from cli.replay.run import Tools, send
from cli.replay.saved_replays import Replay, ReplayError, alone, find, new_id, save
from cli.replay.stopping import stop_replay
from cli.settings.config import Config, account, load
from cli.settings.environment import Environment
from cli.topics import prepare_topics
from consumer.account.runtime import Deployment
from schemas.human_times import parse_when
from schemas.records import Origin, is_of_log, parse_origin
from schemas.target import parse_target
from schemas.validity import is_uuid
from streams.cluster.cluster_id import cluster_id
from streams.cluster.open_transactions import held_partitions
from streams.cluster.topic_ids import log_id
from streams.read.topic_offsets import end_offsets

DEFAULT_RATE = 0.25

SPARE_TO_STOP = 10.0
"""Seconds beyond its own limit that a replay may take to end."""


def _origin(text: str) -> Origin:
    found = parse_origin(text)
    if found is None:
        raise argparse.ArgumentTypeError("write where it stands, such as audience.batches-3@17")
    return found


def _when(text: str) -> datetime:
    try:
        return parse_when(text, datetime.now(UTC))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _batch_id(text: str) -> str:
    if not is_uuid(text):
        raise argparse.ArgumentTypeError("write a batch id, as X-Batch-Id told it")
    return text.lower()


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1:
        raise argparse.ArgumentTypeError("write a share above 0 and at most 1, such as 0.25")
    return rate


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["list", "stop"], help="list the replays, or stop one that runs")
    parser.add_argument("id", nargs="?", metavar="REPLAY", help="the replay that `stop` is about")
    which = parser.add_argument_group("which records")
    which.add_argument("--session", type=session, metavar="ID", help="those of this upload session")
    which.add_argument("--audience", metavar="NAME", help="those of this audience, by its uploaded name")
    which.add_argument("--type", choices=["custom", "primary"], help="with --audience: only this type")
    which.add_argument("--mode", choices=["add", "remove"], help="only what adds users, or takes them out")
    which.add_argument("--batch", type=_batch_id, metavar="ID", help="those of this batch")
    which.add_argument("--origin", type=_origin, metavar="RECORD", help="the record that stands there in the log")
    times = "by the broker's clock: how long ago, such as 2h or 30d, or 2026-11-24T15:00Z"
    which.add_argument("--since", type=_when, metavar="TIME", help=f"those that came then or later, {times}")
    which.add_argument("--until", type=_when, metavar="TIME", help="those that came then or earlier, as for --since")
    which.add_argument(
        "--only",
        choices=["all", "failed", "rejected"],
        default="all",
        help="failed: what no delivery got through; rejected: of each record only the users that were rejected",
    )
    which.add_argument(
        "--reason",
        action="append",
        type=reason,
        metavar="REASON",
        help="only what failed or was rejected for this reason, such as request_refused; may be repeated",
    )
    how = parser.add_argument_group("to whom, and how")
    add_accounts_argument(how)
    how.add_argument("--with-attributes", action="store_true", help="send again what is last-write-wins, too")
    how.add_argument("--rate", type=_rate, metavar="SHARE", help="share of the account's pace; default: 0.25")
    how.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    how.add_argument("--yes", action="store_true", help="do not ask")
    how.add_argument("--resume", metavar="REPLAY", help="go on with a replay that was interrupted, by its id")


async def replay(options: argparse.Namespace, environment: Environment) -> None:
    """Send again what is asked for, or list and stop replays."""
    configure_logs(least=logging.WARNING, is_service=False)
    config = load(environment)
    if options.action:
        await _list_or_stop(options, environment, config)
        return
    asked = asked_for(options, () if options.resume else options.provider or config.targets)
    await prepare_topics(config, [])
    await run_replay(asked, await _tools(environment, config))


async def _list_or_stop(options: argparse.Namespace, environment: Environment, config: Config) -> None:
    kafka = config.kafka if config.common.bootstrap_servers else None
    replays = Replays(data=environment.data, kafka=kafka, prefix=config.common.prefix)
    if options.action == "list" and not options.id:
        print_replays(await replays.listed(), Console())
    elif options.action == "stop" and options.id:
        await stop_replay(replays, options.id, config.consumer.shutdown_timeout + SPARE_TO_STOP)
        print_lines([stopped_line(options.id)])
    else:
        raise UsageError("write `audience replay list`, or `audience replay stop REPLAY`")


async def _tools(environment: Environment, config: Config) -> Tools:
    return Tools(
        deployment=Deployment(
            kafka=config.kafka,
            names=config.names,
            framing=config.framing,
            log_id=await log_id(config.kafka, config.names.batches),
        ),
        settings=config.consumer,
        data=environment.data,
        account=lambda target: account(target, environment, config.common),
    )


async def run_replay(asked: Asked, tools: Tools) -> None:
    """1. Choose, and show what would be sent. 2. Ask. 3. Keep what was asked for. 4. Send. 5. Say what came of it.

    Raises ReplayError where that can't begin or not everything got through, ConfigError, StreamError, and
    NotAllReadError where some of what says what to send could not be read, so that not all may have been sent.
    """
    check_place(asked.choice, tools.deployment.names.batches)
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
    origins = [
        Origin(topic=deployment.names.batches, partition=number, offset=offset) for number, offset in held.items()
    ]
    return [f"A publisher's transaction is open at {place}: what stands after that is left out." for place in origins]


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


COMMAND = Command(
    name="replay",
    text=(
        "Send again what is in the log. Shows what it would send, asks, and sends it to the accounts in a group of its "
        "own, beside live traffic and slower. Say what by --since, --session, --audience, --batch or --only; all that "
        "the log holds is --since 30d. Members stay exact however often that is done; attributes such as purchases are "
        "left out unless --with-attributes. `list` shows all replays, `stop` ends one in order. Needs a Kafka and a "
        "ledger: those of a running `audience up`, or "
        "KAFKA_BOOTSTRAP_SERVERS and `audience consume --ledger`."
    ),
    run=replay,
    add_arguments=_add_arguments,
)
