"""Run a command that knows no lifeline, and end it with our parent: `python -m … parent_guard COMMAND ...`."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

from streams.processes import lifeline

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Start the command, pass signals on, and return its exit code."""
    child = subprocess.Popen(sys.argv[1:], preexec_fn=_die_with_guard)  # noqa: S603, PLW1509 -- our command; no thread yet
    asked, asking = os.pipe()
    os.set_blocking(asking, False)

    def ask(*_: object) -> None:
        """Let the wait end. An event would not do: its lock may be held by what a signal interrupts, for ever then."""
        with contextlib.suppress(BlockingIOError):
            os.write(asking, b"\0")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    lifeline.watch(ask)
    while child.poll() is None and not select.select([asked], [], [], 0.2)[0]:
        pass
    return _end(child)


def _end(child: "subprocess.Popen[bytes]") -> int:
    if child.poll() is None:
        child.terminate()
    try:
        return child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _die_with_guard() -> None:
    killed_with_parent()
    if sys.platform == "linux" and os.getppid() == 1:
        os._exit(1)


def killed_with_parent() -> None:
    """Ask Linux to kill this process when its parent is gone; elsewhere there is no such wish."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
