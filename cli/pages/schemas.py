"""`audience schema`: the Avro schemas of what stands on the topics, as an installed copy has them."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files

from cli.usage import UsageError
from schemas.avro.fingerprints import FORMS, fingerprints
from schemas.avro.framing import SINGLE_OBJECT_MARKER, schema_json
from schemas.near import did_you_mean

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
        yield from map(_told, names())
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


def _told(name: str) -> str:
    purpose, *_ = json.loads(schema_json(name))["doc"].partition(". ")
    return f"{name:<20} {purpose.rstrip('.')}."


def _headers(text: str) -> Iterator[str]:
    for libraries, mark in zip(FORMS, fingerprints(text), strict=True):
        yield f"{(SINGLE_OBJECT_MARKER + mark).hex(' ').upper()}  {libraries}"
