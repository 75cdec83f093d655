"""Which clients of Kafka this process has, as Linux tells it."""

from pathlib import Path


def clients() -> set[str]:
    """Return the threads of this process of which each client of Kafka has one, by their ids."""
    return {task.name for task in Path("/proc/self/task").iterdir() if "rdk:main" in (task / "comm").read_text()}
