"""Lines on standard error, each written whole: those of several threads and processes are never glued together."""

import json
import os
import select
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import IO, Any

STANDARD_ERROR = 2

LONGEST = 1024 * 1024
"""Bytes of a line; what is longer goes on in the next one."""

_writing = threading.Lock()

WriteFields = Callable[[Mapping[str, Any]], None]


def write_line(text: str) -> None:
    """Write a line to standard error; where nobody reads that any more, do nothing: it is no reason to fail."""
    rest = memoryview(f"{text}\n".encode("utf-8", "backslashreplace"))
    with _writing:
        while rest:
            try:
                rest = rest[os.write(STANDARD_ERROR, rest) :]
            except BlockingIOError:  # another program may have set our terminal to non-blocking
                select.select([], [STANDARD_ERROR], [])
            except OSError:
                return


class LineLogger:
    """What structlog writes by."""

    def msg(self, message: str) -> None:
        """Write a line."""
        write_line(message)

    log = debug = info = warning = warn = error = critical = fatal = exception = failure = msg


def relay(pipe: IO[bytes], part: str, write: WriteFields) -> None:
    """Write each line that a process writes, to its end, with the part that it is of; blocks."""
    with pipe:
        for line in lines_of(pipe):
            write(labelled(line, part))


def lines_of(pipe: IO[bytes]) -> Iterator[bytes]:
    """Yield lines, also the last one where the writer died in the middle of it, and no empty ones."""
    while line := pipe.readline(LONGEST):
        if text := line.strip():
            yield text


def labelled(line: bytes, part: str) -> Mapping[str, Any]:
    """Return the fields of a line with the part that it is of; one that is no line of a log becomes an error's."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):  # whatever a library wrote there
        found = None
    if isinstance(found, dict) and "event" in found:
        return {**found, "part": part}
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"event": line.decode("utf-8", "replace"), "level": "error", "timestamp": at, "part": part}
