"""`python -m checks.wheels`: exit 0 only if what was built can be used where no checkout is."""

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from checks.wheels.archives import Archives, build, compare, copy_sources
from checks.wheels.client_alone import ClientAlone
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
    console.print("Building an sdist, a wheel of it, and one of the sources, of the server and of its client")
    sources = work / "sources"
    copy_sources(ROOT, sources)
    archives = build(sources, work, environment)
    client = build(sources / "client", work / "client", environment)
    empty = work / "empty"
    empty.mkdir()
    installation = Installation(
        archives=archives, client=client.wheel, venv=work / "venv", empty=empty, environment=environment
    )
    alone = ClientAlone(archives=client, server=sources, venv=work / "alone", empty=empty, environment=environment)
    report("contents", lambda: compare(archives))
    report("client", lambda: compare(client))
    report("alone", alone.install)
    report("install", installation.install)
    report("schemas", installation.schemas)
    report("demo", installation.demo)
    report("publisher", installation.publish)
    report("upload", installation.upload)
    report("provider", installation.provider)
    report("types", installation.types)
    report("dist", lambda: _keep(archives, client))


def _keep(*built: Archives) -> str:
    """Keep what was checked, in `dist`."""
    folder = ROOT / "dist"
    folder.mkdir(exist_ok=True)
    kept = [archive for archives in built for archive in (archives.sdist, archives.wheel)]
    for archive in kept:
        shutil.copy(archive, folder)
    return ", ".join(archive.name for archive in kept)


if __name__ == "__main__":
    main()
