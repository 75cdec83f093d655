"""Logs on standard error: one line per decision, text on a terminal, JSON otherwise."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from cli.printing.log_lines import STANDARD_ERROR, LineLogger, write_line

EVERY = 60.0
"""Seconds between two lines of one kind that an outage would have written by the hundred."""

SHORT_OUTAGE = 30.0
"""Seconds of an outage from which a command that is soon over speaks of it: before, its last sentence says all."""

PARTS = {"serve": "ingestion", "sandbox": "sandbox", "up": "up"}


def configure_logs(part: str | None = None, *, least: int = logging.NOTSET, is_service: bool = True) -> None:
    """Send our logs from a level on, and warnings of libraries, to standard error; each line says the part."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            *([] if is_service else [drop_short_outages]),
            Repetitions(),
            _label(part),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=lambda *_: LineLogger(),
    )
    # The event loop names clean-up trouble in these; a message may quote what was sent, so only errors of ours speak.
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)


def renderer() -> Processor:
    """Return what makes a line of an event."""
    if os.isatty(STANDARD_ERROR):
        return structlog.dev.ConsoleRenderer()
    return structlog.processors.JSONRenderer()


def write_relayed(fields: Mapping[str, Any]) -> None:
    """Write a line of another process as if it were ours."""
    write_line(str(renderer()(None, "", dict(fields))))


def _label(part: str | None) -> Processor:
    def label(logger: object, method: str, event: EventDict) -> EventDict:
        """Say which part a line is of, unless it says so itself."""
        del logger, method
        return event if part is None or "part" in event else {**event, "part": part}

    return label


def drop_short_outages(logger: object, method: str, event: EventDict) -> EventDict:
    """Leave out what is said of an outage that may be over soon."""
    del logger, method
    if event.get("outage_seconds", SHORT_OUTAGE) < SHORT_OUTAGE:
        raise structlog.DropEvent
    return event


class Repetitions:
    """Lets lines that say of an outage that something is tried again through once a minute for each kind.

    Hundreds of records may wait for one broker; the line names one of them, and how many lines were left out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._written_at: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def __call__(self, logger: object, method: str, event: EventDict) -> EventDict:
        """Pass a line on, or count it."""
        del logger, method
        if "outage_seconds" not in event or event.get("action") != "retry":
            return event
        kind, now = str(event["event"]), self._clock()
        if now - self._written_at.get(kind, -EVERY) < EVERY:
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            raise structlog.DropEvent
        self._written_at[kind] = now
        return {**event, "left_out": left_out} if (left_out := self._left_out.pop(kind, 0)) else event
