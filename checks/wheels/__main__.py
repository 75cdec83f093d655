"""`python -m checks.wheels`: exit 0 only if what was built can be used where no checkout is."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from checks.wheels.archives import Archives, build, compare
from checks.wheels.commands import CheckFailedError, clean_environment
from checks.wheels.installation import Installation

ROOT = Path(__file__).parent.parent.parent


def main() -> None:
    """Build into `dist`, check in a folder of its own, print a line for each check, and exit."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order, so that nothing is left behind
    with tempfile.TemporaryDirectory(prefix="audience-wheels-") as name:
        console = Console(highlight=False, markup=False, soft_wrap=True)
        try:
            _check(Path(name), console)
        except CheckFailedError as error:
            console.print(f"FAILED: {error}")
            sys.exit(1)


def _check(work: Path, console: Console) -> None:
    def report(name: str, check: Callable[[], str]) -> None:
        begun = time.monotonic()
        said = check()
        console.print(f"{name:10}{time.monotonic() - begun:5.1f} s  {said}")

    environment = clean_environment(work)
    console.print("Building an sdist, a wheel of it, and one of the sources")
    archives = build(ROOT, work, environment)
    empty = work / "empty"
    empty.mkdir()
    installation = Installation(archives=archives, venv=work / "venv", empty=empty, environment=environment)
    report("contents", lambda: compare(archives))
    report("install", installation.install)
    report("demo", installation.demo)
    report("publisher", installation.publish)
    report("provider", installation.provider)
    report("types", installation.types)
    report("dist", lambda: _keep(archives))


def _keep(archives: Archives) -> str:
    """Keep what was checked, in `dist`."""
    folder = ROOT / "dist"
    folder.mkdir(exist_ok=True)
    for archive in (archives.sdist, archives.wheel):
        shutil.copy(archive, folder)
    return f"{archives.sdist.name}, {archives.wheel.name}"


if __name__ == "__main__":
    main()
