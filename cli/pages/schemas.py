"""`audience schema`: the Avro schemas of what stands on the topics, as an installed copy has them."""

import json
import re
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from importlib.resources import files

from cli.arguments import count
from cli.command import Command
from cli.errors import UsageError
from cli.settings.environment import Environment
from schemas.avro.fingerprints import FORMS, fingerprints
from schemas.avro.framing import SINGLE_OBJECT_MARKER, schema_json
from schemas.did_you_mean import did_you_mean

_FILE = re.compile(r"([A-Za-z]+)\.avsc")


def names() -> list[str]:
    """Return the records that have a schema."""
    found = (_FILE.fullmatch(path.name) for path in files("schemas").iterdir())
    return sorted(match[1] for match in found if match)


def releases(name: str) -> list[int]:
    """Return the numbers of a schema's releases, the newest last."""
    return sorted(
        int(path.name.removesuffix(".avsc")) for path in files("schemas").joinpath("released", name).iterdir()
    )


def schema_lines(name: str | None, release: int | None, *, headers: bool) -> Iterator[str]:
    """Yield all records where none is named; else a schema, today's or a released one, or what comes before its values.

    Raises UsageError where there is none, with the nearest one.
    """
    if name is None:
        if release is not None or headers:
            raise UsageError(f"name a record: {', '.join(names())}")
        yield from map(_name_and_purpose, names())
        return
    text = _text(name, release)
    if headers:
        yield from _headers(text)
    else:
        yield text.rstrip("\n")


def _text(name: str, release: int | None) -> str:
    if name not in names():
        raise UsageError(f"there is no such record{did_you_mean([name], names())}; there are {', '.join(names())}")
    if release is None:
        return schema_json(name)
    if release not in releases(name):
        raise UsageError(f"--release: there are {', '.join(map(str, releases(name)))} of {name}")
    return files("schemas").joinpath("released", name, f"{release}.avsc").read_text(encoding="utf-8")


def _name_and_purpose(name: str) -> str:
    purpose, *_ = json.loads(schema_json(name))["doc"].partition(". ")
    return f"{name:<20} {purpose.rstrip('.')}."


def _headers(text: str) -> Iterator[str]:
    for libraries, mark in zip(FORMS, fingerprints(text), strict=True):
        yield f"{(SINGLE_OBJECT_MARKER + mark).hex(' ').upper()}  {libraries}"


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", metavar="RECORD", help="the record, such as AudienceBatch; default: list all"
    )
    parser.add_argument("--release", type=count, metavar="N", help="the schema of an older release, from 1")
    parser.add_argument(
        "--headers",
        action="store_true",
        help="print the ten bytes before its values instead, as Avro libraries have them",
    )


async def print_schema(options: Namespace, environment: Environment) -> None:
    """Print a schema, or which there are. Raises UsageError."""
    del environment
    sys.stdout.writelines(f"{line}\n" for line in schema_lines(options.name, options.release, headers=options.headers))


COMMAND = Command(
    name="schema",
    text=(
        "Print a schema of what stands on the topics. Without a name it lists them; `audience schema AudienceBatch` "
        "prints the one by which other systems publish, for any Avro library."
    ),
    run=print_schema,
    add_arguments=_add_arguments,
)
