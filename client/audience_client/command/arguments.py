"""What the command takes; nothing here loads what reads files or sends them."""

import argparse
import re
from datetime import date


def add_upload_arguments(parser: argparse.ArgumentParser) -> None:
    """Take files, the audience, and how files are read, mapped and sent."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="CSV, TSV, JSON Lines, a JSON array, Parquet or .xlsx, each also as .gz, .zst or .zip; - is standard "
        "input. Several files are several sessions of one audience",
    )
    _add_audience(parser.add_argument_group("the audience"))
    _add_reading(parser.add_argument_group("the file"))
    _add_columns(parser.add_argument_group("its columns"))
    _add_sending(parser.add_argument_group("sending"))
    _add_outcome(parser.add_argument_group("what became of it"))


def _add_audience(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--name", required=True, type=_text, help="the audience's name")
    group.add_argument("--type", choices=["custom", "primary"], default="custom", help="its type; default: custom")
    group.add_argument(
        "--mode", choices=["add", "remove"], default="add", help="remove: take these users out; default: add"
    )
    group.add_argument(
        "--channels", type=_channels, default=(), metavar="A,B", help="only these accounts, such as facebook,tiktok/eu"
    )
    group.add_argument("--disable-prefix", action="store_true", help="use the name as it is, without blotout_")
    group.add_argument("--pull-date", type=_day, metavar="YYYY-MM-DD", help="day on which the list was drawn")


def _add_reading(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--encoding", help="of a text file that is neither UTF-8 nor what is guessed")
    group.add_argument("--separator", metavar="CHARACTER", help="between cells: , or ; or | or the word tab")
    group.add_argument("--sheet", metavar="NAME", help="of an Excel file in which several are filled")
    group.add_argument("--limit", type=_positive, metavar="N", help="take the first N users only, to try it out")


def _add_columns(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--map",
        action="append",
        type=_pair,
        default=[],
        metavar="FIELD=COLUMN",
        help='use this column for a field, such as email="E-Mail privat" or phone=#4 for the fourth; may be repeated',
    )
    group.add_argument(
        "--ignore-column", action="append", default=[], metavar="COLUMN", help="do not use this column; may be repeated"
    )
    group.add_argument(
        "--only-consented", action="store_true", help="leave out who did not agree, by the file's columns"
    )
    group.add_argument(
        "--consent",
        action="append",
        type=_consent,
        default=[],
        metavar="[KIND=]COLUMN",
        help='use this column of consent too, such as "Opt-in E-Mail", and leave out who did not agree. KIND says what '
        "it tells: yes (unless you say so), no (who refused), yes-at, no-at (when), each also of one channel, as "
        "email-yes or phone-no; may be repeated",
    )
    group.add_argument("--country", type=_text, help="country of users whose row says none, such as DE")


def _add_sending(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--url", help="the server, such as https://audience.example.com; default: AUDIENCE_URL")
    group.add_argument("--batch-size", type=_positive, metavar="N", help="users in a request; default: 5,000, or more")
    group.add_argument("--lanes", type=_lanes, default=4, metavar="N", help="requests at once; default: 4")
    group.add_argument("--resume", action="store_true", help="go on with an upload of the file that was interrupted")
    group.add_argument(
        "--session", type=_positive, metavar="ID", help="with --resume: which one, where several were interrupted"
    )
    group.add_argument("--new", action="store_true", help="begin anew where an upload of this file was interrupted")
    group.add_argument("--yes", action="store_true", help="do not ask on a terminal before it is sent")


def _add_outcome(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--wait", action="store_true", help="wait until every platform is through, and print a table")
    group.add_argument(
        "--timeout", type=_seconds, metavar="SECONDS", help="wait so long at most; without it until all is over"
    )
    group.add_argument(
        "--rejected",
        metavar="OUT.csv",
        help="wait, and write the file's own rows that a platform rejected, with the reason, to be corrected",
    )
    group.add_argument("--json", action="store_true", help="print what became of it as a JSON object a file")


def _text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; write a name")
    return text.strip()


def _day(text: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError("write a day that there is, as YYYY-MM-DD")


def _channels(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError("write accounts with commas between them, such as facebook,tiktok/eu")
    return names


def _pair(text: str) -> tuple[str, str]:
    field, equals, column = text.partition("=")
    if not equals or not field.strip() or not column.strip():
        raise argparse.ArgumentTypeError('write FIELD=COLUMN, such as email="E-Mail privat"')
    return field.strip(), column.strip()


def _consent(text: str) -> tuple[str, str]:
    kind, _, column = text.partition("=")
    if not re.fullmatch(r"(email|phone)(-(yes|no)(-at)?)?|(yes|no)(-at)?", kind.strip()) or "=" not in text:
        kind, column = "yes", text
    if not column.strip():
        raise argparse.ArgumentTypeError('write COLUMN or KIND=COLUMN, such as "Opt-in E-Mail" or no="Do not mail"')
    return kind.strip(), column.strip()


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,15}", text):
        raise argparse.ArgumentTypeError("write a whole number from 1 on, such as 5000")
    return int(text)


def _lanes(text: str) -> int:
    if not re.fullmatch(r"[1-9]|[12][0-9]|3[0-2]", text):
        raise argparse.ArgumentTypeError("write a whole number from 1 to 32")
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,7}(\.[0-9]{1,3})?", text):
        raise argparse.ArgumentTypeError("write a number of seconds, such as 600")
    return float(text)
