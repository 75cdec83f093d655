"""What the logs of a run must not say, and where they do: by line, and never with the line's text."""

import re
from collections.abc import Iterator
from pathlib import Path

UNEXPECTED = re.compile(rb"^Traceback|by a bug|A provider failed|undecodable", re.MULTILINE)
"""What no log may say where nobody writes records that are none."""

UNEXPECTED_OF_STRAYS = re.compile(rb"^Traceback|by a bug|A provider failed", re.MULTILINE)


def troubles_in(log: Path, unexpected: re.Pattern[bytes]) -> Iterator[str]:
    """Yield where a log says what it must not."""
    text = said_since(log, 0)
    for found in unexpected.finditer(text):
        line = text.count(b"\n", 0, found.start()) + 1
        yield f"{log.name}:{line} says {found[0].decode()!r}"


def said_since(log: Path, place: int) -> bytes:
    """Return what a log says behind so many bytes."""
    if not log.exists():
        return b""
    with log.open("rb") as lines:
        lines.seek(place)
        return lines.read()


def last_line(log: Path) -> str:
    """Return the place of a log's last line."""
    return f"{log.name}:{len(said_since(log, 0).splitlines())}"
