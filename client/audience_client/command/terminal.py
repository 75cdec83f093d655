"""The person before the terminal: is told things on standard error, and asked where there is one."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from audience_client.command.text_table import printable
from audience_client.command.threads import in_thread
from audience_client.errors import quoted

LONGEST_ANSWER = 1024
TRIES = 3


@dataclass(frozen=True, slots=True)
class Terminal:
    """Standard error, and whether there is somebody to ask; `is_shown` says that a line there can be written over."""

    can_ask: bool
    is_shown: bool

    def say(self, line: str = "") -> None:
        """Write a line to standard error."""
        write_error(printable(line) + "\n")

    async def confirms(self, question: str, *, is_usual: bool = True) -> bool:
        """Ask, and tell whether the answer is a yes; Enter alone is one where that is usual."""
        answer = await self._ask(f"{question} {'[Y/n]' if is_usual else '[y/N]'}")
        return answer.lower() in ("y", "yes") or (is_usual and answer == "\n")

    async def choose(self, question: str, names: Sequence[str]) -> str | None:
        """Ask for one of several by its number, None where none is chosen."""
        self.say(question)
        for number, name in enumerate(names, 1):
            self.say(f"  {number}  {quoted(name)}")
        for _ in range(TRIES):
            answer = await self._ask(f"Which one? [1-{len(names)}, or Enter for none]")
            if not answer.strip():
                return None
            if answer.isdecimal() and 1 <= int(answer) <= len(names):
                return names[int(answer) - 1]
        return None

    async def _ask(self, question: str) -> str:
        """Return what is typed without blanks around it: a line end for Enter alone, nothing at the end of input."""
        if not self.can_ask:
            return ""
        write_error(f"{printable(question)} ")
        typed = await in_thread(_read_line)
        return typed.strip() or typed[-1:]


def this_terminal() -> Terminal:
    """Return the terminal of this process; nobody is asked where standard input is none, such as a file's content."""
    is_shown = sys.stderr is not None and sys.stderr.isatty()
    return Terminal(is_shown and sys.stdin is not None and sys.stdin.isatty(), is_shown)


def write_error(text: str) -> None:
    """Write to standard error; where nobody reads that any more, do nothing."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def _read_line() -> str:
    """Read past Python's buffer, whose lock would be held at the end of a process that was interrupted."""
    try:
        return os.read(sys.stdin.fileno(), LONGEST_ANSWER).decode(errors="replace")
    except OSError:
        return ""
