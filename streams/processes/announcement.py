"""A child tells its parent where it listens, over a pipe: its port may be any, and what answers at one a stranger's."""

import contextlib
import os
from collections.abc import Mapping, MutableMapping

VARIABLE = "AUDIENCE_ANNOUNCEMENT"

MOST = 512
"""Bytes of an announcement."""


class Announcement:
    """The parent's end, for one start of a child. Give it `fd` by `pass_fds` and its number in the environment."""

    def __init__(self) -> None:
        self._ours, self.fd = os.pipe()
        os.set_blocking(self._ours, False)
        self._is_open = True

    def environ(self) -> Mapping[str, str]:
        """Return the variable that tells a child which descriptor to write to."""
        return {VARIABLE: str(self.fd)}

    def started(self) -> None:
        """Let go of the child's end, once the child has it."""
        os.close(self.fd)

    def read(self) -> str | None:
        """Return where the child listens, None as long as it has not said so; to be read until it has."""
        try:
            data = os.read(self._ours, MOST) if self._is_open else b""
        except BlockingIOError:
            return None
        return data.decode("utf-8").strip() or None

    def close(self) -> None:
        """Let go of our end."""
        if self._is_open:
            self._is_open = False
            os.close(self._ours)


def announce(address: str, environ: MutableMapping[str, str] = os.environ) -> None:
    """Tell the parent where this process listens, once; without one that asks do nothing."""
    number = environ.pop(VARIABLE, "")
    if number.isdecimal():
        with contextlib.suppress(OSError):  # a parent that is gone needs no word, and the lifeline sees to us
            os.write(int(number), f"{address}\n".encode())
            os.close(int(number))
