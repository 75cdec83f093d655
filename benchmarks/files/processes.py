"""Ways that are measured in a process of their own: `python -m benchmarks.files.processes WAY ARGUMENT…`."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.files.ways import by_arrow, loop, ours, upload

OURS, LOOP, ARROW, COMMAND = "ours, two passes", "DictReader + dumps", "pyarrow, reading only", "audience-upload"
WAYS: Mapping[str, Callable[..., object]] = {OURS: ours, LOOP: loop, ARROW: by_arrow, COMMAND: upload}


class Cost(NamedTuple):
    """What a process cost."""

    processor: float
    """Seconds of processor time, without those of its imports."""

    elapsed: float
    """Seconds from its start to its end, all of them."""

    peak: float
    """The most memory that it had, in MiB."""


def measured(way: str, path: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Return what one way costs in a process of its own. Raises RuntimeError where it fails."""
    command = [sys.executable, "-m", "benchmarks.files.processes", way, str(path), *arguments]
    began = time.monotonic()
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 -- ourselves
    elapsed = time.monotonic() - began
    if ran.returncode:
        raise RuntimeError(f"{way} ended with {ran.returncode}: {ran.stderr[-1000:]}")
    processor, peak = ran.stdout.split()[-2:]
    return Cost(float(processor), elapsed, float(peak))


def peak_mebibytes() -> float:
    """Return the most memory that this process has had."""
    try:
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        import resource  # noqa: PLC0415 -- Windows has none

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    began = time.process_time()
    WAYS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
    print(time.process_time() - began, peak_mebibytes())  # noqa: T201 -- read by the process that started this one
