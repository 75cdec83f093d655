"""Requests as real HTTP clients put them on the wire; `python -m checks.clients` writes docs/clients.md."""

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "tests" / "clients"

_HEAD = """\
# HTTP clients

What 51 clients put on the wire, and what `POST /audience` answers. Each request is a test, to the byte: what is 200
arrives in the log with exactly the members that were meant. `examples/clients` has scripts for ten languages and tools.

Send `multipart/form-data` and let your client set its `Content-Type`; send `batch` and `users` as JSON texts, as files
or as parts of any type. Write UTF-8: parts in another charset are read if they say which, but what a client has already
replaced by `?` is lost. Apache HttpClient 4 does that unless each text has `ContentType.create("text/plain", "UTF-8")`.

| client | version | variant | answer |
|---|---|---|---|
"""

_ADVICE = """
## What to do where it is 400

| client | variant | instead |
|---|---|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One request of a client, and the answer that is right."""

    name: str
    client: str
    version: str
    variant: str
    status: int
    says: str
    """What a refusal has to speak of."""
    advice: str

    @property
    def request(self) -> bytes:
        """Its bytes."""
        return (FOLDER / f"{self.name}.raw").read_bytes()


def captures() -> list[Capture]:
    """Return every request that was recorded."""
    with (FOLDER / "index.tsv").open(encoding="utf-8", newline="") as file:
        return [_capture(**row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def _capture(*, file: str, status: str, **told: str) -> Capture:
    return Capture(name=file, status=int(status), **told)


def page(found: Iterable[Capture]) -> str:
    """Return the matrix in Markdown, and what to do where a request is refused."""
    ordered = sorted(found, key=lambda capture: (capture.client.lower(), capture.version, capture.status))
    return _HEAD + "".join(_rows(ordered)) + _ADVICE + "".join(_advice(ordered))


def _rows(ordered: Iterable[Capture]) -> Iterator[str]:
    for key, group in groupby(ordered, key=lambda capture: (capture.client, capture.version, capture.status)):
        client, version, status = key
        yield f"| {client} | {version} | {'; '.join(capture.variant for capture in group)} | {status} |\n"


def _advice(ordered: Iterable[Capture]) -> Iterator[str]:
    for capture in ordered:
        if capture.advice:
            yield f"| {capture.client} | {capture.variant} | {capture.advice} |\n"


if __name__ == "__main__":
    sys.stdout.write(page(captures()))
