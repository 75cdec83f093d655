"""Which clients of Kafka this process has, as Linux tells it."""

from contextlib import suppress
from pathlib import Path


def clients() -> set[str]:
    """Return the threads of this process of which each client of Kafka has one, by their ids."""
    return {task.name for task in Path("/proc/self/task").iterdir() if "rdk:main" in _name(task)}


def _name(task: Path) -> str:
    """Return what a thread is called, nothing of one that has ended meanwhile."""
    with suppress(OSError):
        return (task / "comm").read_text(encoding="utf-8")
    return ""
