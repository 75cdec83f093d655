"""Children never outlive their parent, not even one killed with -9: they watch a pipe that dies with it."""

import contextlib
import os
from collections.abc import Callable, Mapping

from streams.processes.watched_threads import watched_thread

VARIABLE = "AUDIENCE_LIFELINE"


class Lifeline:
    """The parent's end. Give children `fd` by `pass_fds` and its number in the environment."""

    def __init__(self) -> None:
        self.fd, self._kept = os.pipe()

    def environ(self) -> dict[str, str]:
        """Return the variable that tells a child which descriptor to watch."""
        return {VARIABLE: str(self.fd)}

    def close(self) -> None:
        """Let go: every child that watches ends itself."""
        for fd in (self.fd, self._kept):
            os.close(fd)


def is_watched(environ: Mapping[str, str]) -> bool:
    """Tell whether this process is a child of one of ours."""
    return VARIABLE in environ


def watch(on_parent_gone: Callable[[], None], environ: Mapping[str, str] = os.environ) -> None:
    """Call a function, on a thread of its own, when the parent is gone; without a lifeline do nothing.

    A lifeline that can't be watched counts as gone. What the function raises ends the process at once.
    """
    if not is_watched(environ):
        return
    fd = int(environ[VARIABLE])
    os.set_inheritable(fd, False)
    watched_thread("lifeline", lambda: _wait(fd, on_parent_gone), lambda _: os._exit(1)).start()


def _wait(fd: int, on_parent_gone: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        os.read(fd, 1)  # nobody ever writes: this returns when the last holder of the other end is gone
    on_parent_gone()
