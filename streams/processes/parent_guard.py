"""Run a command that knows no lifeline, and end it with our parent: `python -m … parent_guard COMMAND ...`."""

import ctypes
import os
import signal
import subprocess
import sys
import threading

from streams.processes import lifeline

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Start the command, pass signals on, and return its exit code."""
    child = subprocess.Popen(sys.argv[1:], preexec_fn=_die_with_guard)  # noqa: S603, PLW1509 -- our command; no thread yet
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    lifeline.watch(stop.set)
    while child.poll() is None and not stop.wait(0.2):
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
