"""`audience dead-letters`: what failed, why, and what it was."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby

from cli.arguments import count, provider, reason, session
from cli.command import Command
from cli.dead_letters.failures import Wanted, target_of
from cli.dead_letters.invalid_records import WantedReceipts, list_invalid
from cli.dead_letters.listing import Listing
from cli.dead_letters.printing import (
    COLUMNS,
    Shown,
    cells,
    counted,
    lines_of,
    object_of,
    summary,
)
from cli.dead_letters.reader import DeadLetterReader
from cli.errors import CommandError, UsageError
from cli.log_records import Content, content_of
from cli.printing.tables import print_lines, print_objects
from cli.settings.config import Config, load
from cli.settings.environment import Environment
from schemas.human_times import parse_span
from schemas.records import BatchCompletion, Origin
from schemas.validity import is_uuid

_LIST = (
    "List the deliveries that failed and did not get through since. The newest comes first; the last line, on standard "
    "error, says how many there are of each account and reason. Filters can be combined."
)
_SHOW = (
    "Show why a delivery failed, and the users that it was about. Takes an origin, such as audience.batches-3@17, or a "
    "batch id for all that failed of it. Of each value of a user only the first character is shown."
)
_INVALID = (
    "the records of the log that break a rule or cannot be decoded, by whomever they were published, instead; with "
    "--session and --age as they say"
)

_ORIGIN = re.compile(r"([A-Za-z0-9._-]+)-([0-9]{1,9})@([0-9]{1,18})")

DEAD_LETTER_LISTING = Listing(columns=COLUMNS, cells=cells, summary=summary, counted=counted)

QUARANTINED = Content("The record is quarantined: it ends the process that reads it, so it is not shown.")


class NoSuchDeadLetterError(CommandError):
    """No dead letter is where one was asked for."""


def _age(text: str) -> timedelta:
    try:
        return parse_span(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def _add_arguments(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list | show")
    _add_list_arguments(actions.add_parser("list", help=_LIST.partition(".")[0], description=_LIST))
    _add_show_arguments(actions.add_parser("show", help=_SHOW.partition(".")[0], description=_SHOW))


def _add_list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--provider",
        action="append",
        type=provider,
        metavar="PROVIDER[/ACCOUNT]",
        help="only those of this account; facebook means all accounts of Facebook; may be repeated",
    )
    parser.add_argument(
        "--reason",
        action="append",
        type=reason,
        metavar="REASON",
        help="only those with this reason, such as request_refused; may be repeated; `audience errors` prints all",
    )
    parser.add_argument("--session", type=session, metavar="ID", help="only those of this upload session")
    parser.add_argument("--age", type=_age, help="only those that failed within this time, such as 15m, 2h or 30d")
    parser.add_argument("--invalid", action="store_true", help=_INVALID)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def _add_show_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("place", metavar="ORIGIN", help="where the record stands, as the list says, or a batch id")
    parser.add_argument("--users", type=count, default=10, help="how many users to show; default: 10")
    parser.add_argument("--unmasked", action="store_true", help="show personal data as it is in the log")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each record, on a line")


async def dead_letters(options: Namespace, environment: Environment) -> None:
    """List dead letters or records that are not valid, or show some."""
    config = load(environment)
    reader = DeadLetterReader(kafka=config.kafka, names=config.names, framing=config.framing)
    if options.action == "show":
        shown = Shown(users=options.users, is_masked=not options.unmasked)
        await show_dead_letters(reader, options.place, shown, as_json=options.json)
    elif options.invalid:
        await _list_invalid(options, config)
    else:
        await list_dead_letters(reader, _wanted(options), datetime.now(UTC), as_json=options.json)


def _wanted(options: Namespace) -> Wanted:
    return Wanted(
        providers=[str(target) for target in options.provider or ()],
        reasons=options.reason or (),
        session_id=options.session,
        age=options.age,
    )


async def _list_invalid(options: Namespace, config: Config) -> None:
    if options.provider or options.reason:
        raise UsageError("records that are not valid concern no account: leave out --provider and --reason")
    wanted = WantedReceipts(session_id=options.session, age=options.age)
    now = datetime.now(UTC)
    await list_invalid(config.kafka, config.names, config.framing, wanted, now, as_json=options.json)


async def list_dead_letters(reader: DeadLetterReader, wanted: Wanted, now: datetime, *, as_json: bool) -> None:
    """Print the letters that are wanted, the newest first, and how many they are on standard error.

    Raises KafkaUnreachableError, RegistryUnavailableError, NotAllReadError.
    """
    found, undecodable = await reader.dead_letters()
    standing = found.standing()
    chosen = [letter for letter in standing if wanted.has(letter, now)]
    DEAD_LETTER_LISTING.show(chosen, len(standing), undecodable, as_json=as_json)


async def show_dead_letters(reader: DeadLetterReader, place: str, shown: Shown, *, as_json: bool) -> None:
    """Print the letters of an origin or of a batch, and the records that they point at.

    Raises NoSuchDeadLetterError, KafkaUnreachableError, RegistryUnavailableError, NotAllReadError.
    """
    is_meant = _meant(place, reader.names.batches)
    found, undecodable = await reader.dead_letters()
    print_lines(undecodable.lines(), sys.stderr)
    meant = sorted(filter(is_meant, found.standing()), key=lambda letter: (letter.origin, target_of(letter)))
    if not meant:
        undecodable.check()
        raise NoSuchDeadLetterError(f"no dead letter stands at {place}: nothing failed there, or it got through since")
    for origin, group in groupby(meant, key=lambda letter: letter.origin):
        its = list(group)
        is_quarantined = any(letter.error_code == "quarantined" for letter in its)
        content = QUARANTINED if is_quarantined else await content_of(origin, reader.kafka, reader.framing)
        if as_json:
            print_objects([object_of(its, content, shown)])
        else:
            print_lines(lines_of(its, content, shown))


def _meant(place: str, topic: str) -> Callable[[BatchCompletion], bool]:
    """Return what tells the letters of a place. Raises NoSuchDeadLetterError where the text is none."""
    if is_uuid(place):
        return lambda letter: (letter.batch_id or "").lower() == place.lower()
    match = _ORIGIN.fullmatch(place)
    if match is None:
        raise NoSuchDeadLetterError(f"write where the record stands, such as {topic}-3@17, or a batch id")
    origin = Origin(topic=match[1], partition=int(match[2]), offset=int(match[3]))
    if origin.topic != topic:
        raise NoSuchDeadLetterError(f"the log is {topic}, and dead letters point at nothing else, such as {topic}-3@17")
    return lambda letter: letter.origin == origin


COMMAND = Command(
    name="dead-letters",
    text=(
        "List what could not be delivered, and show why. Reads the topic of completions to its end and keeps nothing; "
        "the users are fetched from the log, where they stand for 30 days. Needs a Kafka: KAFKA_BOOTSTRAP_SERVERS, or "
        "the one of a running `audience up`."
    ),
    run=dead_letters,
    add_arguments=_add_arguments,
)
