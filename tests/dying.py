"""Functions that end, or seem to, the process that calls them; and what asks Kafka in a way that may."""

import os
import time
from pathlib import Path


def say(word: str) -> dict[str, list[int]]:
    """Print, and return something."""
    print(word, flush=True)  # noqa: T201 -- as a library might
    return {word: [1, 2]}


def die(calls: str) -> None:
    """Note the call and abort."""
    with Path(calls).open("a") as noted:
        noted.write("x")
    os.abort()


def die_at_first(calls: str) -> int:
    """Abort when called first; then return how often it was called."""
    if not Path(calls).exists():
        die(calls)
    return len(Path(calls).read_text()) + 1


def fail() -> None:
    """Raise."""
    raise ValueError


def hang() -> None:
    """Do nothing, for long."""
    time.sleep(600)
