"""What each command takes on the command line."""

import argparse
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import get_args

import msgspec

from ledger.resources import State
from producer.request.numbers import Number, number, number_text
from providers.installed import installed
from schemas.near import did_you_mean
from schemas.records import AudienceType, Origin, parse_origin
from schemas.target import Target, parse_target
from schemas.validity import is_uuid
from schemas.vocabulary import VOCABULARY
from schemas.when import parse_span, parse_when

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


_numbers = msgspec.json.Decoder(float_hook=number)


def _provider(text: str) -> Target:
    try:
        target = parse_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if target.provider not in installed():
        near = did_you_mean([target.provider], installed())
        raise argparse.ArgumentTypeError(f"there are {', '.join(installed())}{near}")
    return target


def _consume_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--provider",
        type=_provider,
        metavar="PROVIDER[/ACCOUNT]",
        help=f"the account to serve, such as facebook or facebook/eu; there are {', '.join(installed())}",
    )
    what.add_argument("--ledger", action="store_true", help="write the receipts that status and replay go by")


def _accounts_argument(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        "--provider",
        action="append",
        type=_provider,
        metavar="PROVIDER[/ACCOUNT]",
        help="an account, such as facebook or facebook/eu; may be repeated; default: those in AUDIENCE_PROVIDERS",
    )


def _audience_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("users", metavar="USERS.json", help="a JSON array of users as in the API; - is standard input")
    parser.add_argument("--name", required=True, help="the audience's name")
    parser.add_argument("--type", choices=["custom", "primary"], default="custom", help="the audience's type")
    parser.add_argument("--disable-prefix", action="store_true", help="use the name as it is")


def _preview_arguments(parser: argparse.ArgumentParser) -> None:
    _audience_arguments(parser)
    _accounts_argument(parser)
    parser.add_argument(
        "--explain",
        nargs="?",
        const=0,
        type=_index,
        metavar="INDEX",
        help="explain the row of this user, the first is 0, which is the default; put it last",
    )


def _reason(text: str) -> str:
    if text not in VOCABULARY:
        raise argparse.ArgumentTypeError("there is no such reason; `audience errors` prints them all")
    return text


def _session(text: str) -> str:
    """Return a session id as the endpoint keeps it, which is a number's shortest text; others may write any text."""
    try:
        decoded = _numbers.decode(text)
        return number_text(decoded) if isinstance(decoded, Number) and not isinstance(decoded, bool) else text
    except (msgspec.DecodeError, ValueError):
        return text


def _origin(text: str) -> Origin:
    found = parse_origin(text)
    if found is None:
        raise argparse.ArgumentTypeError("write where it stands, such as audience.batches-3@17")
    return found


def _age(text: str) -> timedelta:
    try:
        return parse_span(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise argparse.ArgumentTypeError("write a whole number, such as 100")
    return int(text)


def _index(text: str) -> int:
    try:
        return _count(text)
    except argparse.ArgumentTypeError:
        wanted = "write the number of the user behind it, the first is 0, or nothing; USERS.json comes before it"
        raise argparse.ArgumentTypeError(wanted) from None


def _dead_letters_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="list | show")
    _list_arguments(actions.add_parser("list", help=_LIST.partition(".")[0], description=_LIST))
    _show_arguments(actions.add_parser("show", help=_SHOW.partition(".")[0], description=_SHOW))


def _list_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider",
        action="append",
        type=_provider,
        metavar="PROVIDER[/ACCOUNT]",
        help="only those of this account; facebook means all accounts of Facebook; may be repeated",
    )
    parser.add_argument(
        "--reason",
        action="append",
        type=_reason,
        metavar="REASON",
        help="only those with this reason, such as request_refused; may be repeated; `audience errors` prints all",
    )
    parser.add_argument("--session", type=_session, metavar="ID", help="only those of this upload session")
    parser.add_argument("--age", type=_age, help="only those that failed within this time, such as 15m, 2h or 30d")
    parser.add_argument("--invalid", action="store_true", help=_INVALID)
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", metavar="ORIGIN", help="where the record stands, as the list says, or a batch id")
    parser.add_argument("--users", type=_count, default=10, help="how many users to show; default: 10")
    parser.add_argument("--unmasked", action="store_true", help="show personal data as it is in the log")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each record, on a line")


def _publish_arguments(parser: argparse.ArgumentParser) -> None:
    _audience_arguments(parser)
    parser.add_argument("--channels", metavar="TARGETS", help="targets such as facebook,tiktok/eu; default: all")
    parser.add_argument(
        "--any-channel", action="store_true", help="publish for targets that no account is known of, too"
    )
    parser.add_argument("--session", type=_session, metavar="ID", help="the upload session that the batch belongs to")
    parser.add_argument("--sequence", type=int, metavar="N", help="place of the batch in its session, from 0 or 1")
    parser.add_argument("--total-batches", type=int, metavar="N", help="batches in the session")
    parser.add_argument("--total-users", type=int, metavar="N", help="users in the session")
    parser.add_argument("--pull-date", metavar="YYYY-MM-DD", help="day on which the list was drawn")
    parser.add_argument("--batch-id", metavar="UUID", help="id of the batch, to publish the same again; default: new")


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


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["list", "stop"], help="list the replays, or stop one that runs")
    parser.add_argument("id", nargs="?", metavar="REPLAY", help="the replay that `stop` is about")
    which = parser.add_argument_group("which records")
    which.add_argument("--session", type=_session, metavar="ID", help="those of this upload session")
    which.add_argument("--audience", metavar="NAME", help="those of this audience, by its uploaded name")
    which.add_argument("--type", choices=["custom", "primary"], help="with --audience: only this type")
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
        type=_reason,
        metavar="REASON",
        help="only what failed or was rejected for this reason, such as request_refused; may be repeated",
    )
    how = parser.add_argument_group("to whom, and how")
    _accounts_argument(how)
    how.add_argument("--with-attributes", action="store_true", help="send again what is last-write-wins, too")
    how.add_argument("--rate", type=_rate, metavar="SHARE", help="share of the account's pace; default: 0.25")
    how.add_argument("--dry-run", action="store_true", help="only show what would be sent")
    how.add_argument("--yes", action="store_true", help="do not ask")
    how.add_argument("--resume", metavar="REPLAY", help="go on with a replay that was interrupted, by its id")


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise argparse.ArgumentTypeError("write a number of seconds, such as 60")
    return float(text)


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    one = parser.add_mutually_exclusive_group()
    one.add_argument("session", nargs="?", type=_session, metavar="SESSION", help="a session's id, for all its runs")
    one.add_argument("--batch", metavar="ID", help="a batch's id, for that batch")
    parser.add_argument("--name", help="only sessions of the audience with this name")
    parser.add_argument("--type", choices=get_args(AudienceType), help="only sessions of this type")
    parser.add_argument("--state", choices=get_args(State), help="only sessions in this state")
    parser.add_argument("--since", metavar="TIME", help="only sessions since then: 2h or 30d ago, or a time in ISO")
    parser.add_argument("--limit", type=_count, metavar="N", help="how many sessions to list, up to 100; default: 20")
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=0,
        metavar="SECONDS",
        help="wait so long, at most 300, until all accounts are through with the session's newest run, or the batch",
    )
    parser.add_argument("--json", action="store_true", help="print what the server answers, as JSON on a line")


def _rejected_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "place", type=_session, metavar="SESSION|BATCH", help="a session's id, for its newest run, or a batch's"
    )
    parser.add_argument("--csv", action="store_true", help="print CSV, for a spreadsheet")
    parser.add_argument("--with-ids", action="store_true", help="add the edgeTagId of each user, from the log in Kafka")


def _schema_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="RECORD", help="the record, such as AudienceBatch; default: list all"
    )
    parser.add_argument("--release", type=_count, metavar="N", help="the schema of an older release, from 1")
    parser.add_argument(
        "--headers",
        action="store_true",
        help="print the ten bytes before its values instead, as Avro libraries have them",
    )


def _config_arguments(parser: argparse.ArgumentParser) -> None:
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object for each setting, on a line")
    form.add_argument("--env", action="store_true", help="print lines that a .env takes; secrets are comments")


ARGUMENTS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "consume": _consume_arguments,
    "preview": _preview_arguments,
    "publish": _publish_arguments,
    "check": _accounts_argument,
    "dead-letters": _dead_letters_arguments,
    "config": _config_arguments,
    "schema": _schema_arguments,
    "replay": _replay_arguments,
    "status": _status_arguments,
    "rejected": _rejected_arguments,
}
