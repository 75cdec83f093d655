"""What processes use, as Linux tells it in /proc: processor time, memory, and what bounds them."""

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1
BUSY = 0.9
"""Share of a core, or of all, from which it counts as busy."""

_BUSY_FIELDS = (1, 2, 3, 6, 7, 8)
"""Of /proc/stat's line `cpu`: user, nice, system, irq, softirq, steal."""


@dataclass(frozen=True, slots=True)
class Stat:
    """A process as its line in /proc says: its session, and seconds of processor with its ended children's."""

    pid: int
    session: int
    seconds: float


def parse_stat(line: str) -> Stat:
    """Return what /proc/PID/stat says; the name in brackets may have anything in it."""
    pid = int(line.partition(" ")[0])
    fields = line.rpartition(")")[2].split()
    return Stat(pid, int(fields[3]), sum(map(int, fields[11:15])) / TICKS)


def processes() -> list[Stat]:
    """Return all processes that there are now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found.append(parse_stat(path.read_text(encoding="utf-8", errors="replace")))
        except OSError:
            continue  # it has ended meanwhile
    return found


def own_seconds() -> float:
    """Return the processor time of this process without its children."""
    return time.process_time()


def machine_seconds() -> float:
    """Return the time that all cores were busy, whoever had them."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return sum(int(fields[number]) for number in _BUSY_FIELDS) / TICKS


def seconds_of(sessions: Mapping[str, int], among: Iterable[Stat]) -> dict[str, float]:
    """Return the processor time of each session, all its processes together."""
    names = {session: name for name, session in sessions.items()}
    seconds = dict.fromkeys(sessions, 0.0)
    for stat in among:
        if stat.session in names:
            seconds[names[stat.session]] += stat.seconds
    return seconds


def peak_of(session: int, among: Iterable[Stat]) -> int:
    """Return the most memory that the processes of a session held, each at its worst, in bytes."""
    return sum(_peak(stat.pid) for stat in among if stat.session == session)


def _peak(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def bound_by(seconds: Mapping[str, float], machine: float, took: float) -> str:
    """Return what bounds a stretch of time, by how long each process and the machine were busy in it."""
    name, most = max(seconds.items(), key=lambda item: item[1], default=("", 0.0))
    if machine >= BUSY * CORES * took:
        return f"all {CORES} cores busy"
    if most >= BUSY * took:
        return f"{name} at a core"
    return "no processor"
