"""How far an upload is: one line that is written over on a terminal, a line now and then where there is none."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from audience_client.command.terminal import write_error
from audience_client.command.text_table import printable
from audience_client.http.retry import WaitNotice
from audience_client.upload.progress import Progress

OFTEN, SELDOM = 0.2, 30.0
"""Seconds between two lines, on a terminal and without one."""

BAR = 10
MINUTE, HOUR = 60, 3600

WAITS = {
    "unreachable": "the server can't be reached",
    "no_room": "the server takes nothing at the moment",
    "too_slow": "the connection is too slow",
    "proxy": "a proxy answers for the server",
}


@dataclass(slots=True)
class ProgressLine:
    """Shows how far it is; `is_shown` is of a terminal."""

    is_shown: bool
    clock: Callable[[], float] = time.monotonic
    _shown_at: float = field(init=False, default=0.0)
    _last: Progress | None = field(init=False, default=None)
    _notice: WaitNotice | None = field(init=False, default=None)
    _is_open: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Begin to count the time."""
        self._shown_at = self.clock()

    @property
    def last(self) -> Progress | None:
        """How far it is, None before anything is known."""
        return self._last

    def begin(self) -> "ProgressLine":
        """Forget what was shown, for the next file."""
        self._last = self._notice = None
        return self

    def show(self, progress: Progress) -> None:
        """Show a line if it is time; that something goes on again is told at once."""
        self._last, was_waiting, self._notice = progress, self._notice is not None, None
        self._show(at_once=was_waiting)

    def wait(self, notice: WaitNotice) -> None:
        """Show why it does not go on; each reason is told at once, and again only if it is time."""
        is_new, self._notice = _reason(notice) != _reason(self._notice), notice
        if is_new and self.is_shown and notice.why == "no_room":
            self.end()
            write_error(printable(f"The server says: {notice.words}") + "\n")
        self._show(at_once=is_new)

    def _show(self, *, at_once: bool) -> None:
        now = self.clock()
        if not at_once and now - self._shown_at < (OFTEN if self.is_shown else SELDOM):
            return
        self._shown_at = now
        text = printable(progress_text(self._last, self._notice, has_bar=self.is_shown))
        write_error(_over(text) if self.is_shown else f"{text}\n")
        self._is_open = self.is_shown

    def end(self) -> None:
        """Clear the line, so that others may be written."""
        if self._is_open:
            write_error(_over("") + "\r")
            self._is_open = False


def _over(text: str) -> str:
    """Return what writes over the line; blanks, as not every terminal of Windows knows codes that clear one."""
    width = shutil.get_terminal_size().columns - 1
    return "\r" + text[:width].ljust(width)


def _reason(notice: WaitNotice | None) -> tuple[str, str] | None:
    """Return what makes a notice another one: what is wrong, and the words of a server that answers."""
    return None if notice is None else (notice.why, notice.words if notice.why == "no_room" else "")


def progress_text(progress: Progress | None, notice: WaitNotice | None = None, *, has_bar: bool) -> str:
    """Return how far it is: a bar, a share, how fast, and how long it will take; or what it waits for.

    The server's own words, which may say what to do, would not fit beside a bar.
    """
    waits = f"{_why(notice, has_words=not has_bar)}, next try in {duration(notice.seconds)}" if notice else ""
    if progress is None:
        return waits
    share = progress.users / progress.total_users if progress.total_users else 1.0
    filled = int(share * BAR)
    bar = f"[{'#' * filled}{'.' * (BAR - filled)}] " if has_bar else ""
    reached = f"{bar}{progress.users:,} of {progress.total_users:,} ({share:.0%})"
    return ", ".join(part for part in (reached, waits or _pace(progress)) if part)


def _why(notice: WaitNotice, *, has_words: bool) -> str:
    why = WAITS.get(notice.why, notice.words)
    return f"{why} ({notice.words})" if has_words and notice.why == "no_room" else why


def _pace(progress: Progress) -> str:
    to_go = progress.seconds_to_go
    pace = f"{progress.rows_per_second:,.0f} rows/s" if progress.rows_per_second else ""
    return f"{pace}, {duration(to_go)} to go" if pace and to_go else pace


def duration(seconds: float) -> str:
    """Return how long something takes, in the unit that tells it best."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / MINUTE:.0f} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"
