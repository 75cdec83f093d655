"""Locks on files, by which processes of one machine know of each other."""

import fcntl
import os
from pathlib import Path


def lock_file(path: Path) -> int:
    """Lock a file, which is made where it is missing, and return what holds the lock until all copies of it are closed.

    Raises BlockingIOError where another process has it, OSError where there can be no lock.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
