"""`python -m checks.pictures`: exit 0 only if a stranger finds the way, and every picture was taken and is small."""

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import aiohttp
from playwright.async_api import Error as BrowserError
from rich.console import Console

from checks.pictures.camera import Camera, browser_open, faults_of
from checks.pictures.stage import NotAsItShouldBeError, Stage
from checks.pictures.story import bring_about, pictures
from checks.pictures.walk import walk
from cli.demo.environment import demo_environment
from cli.local_stack.running import running
from cli.settings.environment import Environment
from streams.processes.ports import free_port

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
LIMIT = 300.0
"""Seconds that all of it may take."""

Say = Callable[[str], None]


def main() -> None:
    """Run, say what was seen, and exit."""
    parser = argparse.ArgumentParser(prog="pictures", description=__doc__)
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER", help="default: docs/pictures")
    folder: Path = parser.parse_args().into
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if shutil.which("chromium") is None:
        sys.exit("pictures: chromium is not on this machine; install Debian's package of that name")
    environment = _environment()
    shutil.rmtree(environment.data, ignore_errors=True)
    environment.data.mkdir(parents=True)
    fault = asyncio.run(_tried(environment, folder, console.print))
    if fault:
        console.print(f"pictures: FAILED: {fault}\nLogs are in {environment.data}")
        sys.exit(1)
    shutil.rmtree(environment.data)
    console.print(f"pictures: {len(list(folder.glob('*.png')))} are in {folder}")


def _environment() -> Environment:
    """Return an environment that nothing of the process reaches, with ports of its own."""
    values = demo_environment(os.environ, "pictures").values
    values = {
        **values,
        "AUDIENCE_LISTEN": f"127.0.0.1:{free_port()}",
        "AUDIENCE_SANDBOX_LISTEN": f"127.0.0.1:{free_port()}",
        "XDG_STATE_HOME": f"{values['AUDIENCE_DATA']}/state",
    }
    return Environment(values, dict.fromkeys(values, "environment"))


async def _tried(environment: Environment, folder: Path, say: Say) -> str | None:
    """Do it all; return what is wrong."""
    try:
        async with asyncio.timeout(LIMIT):
            return await _run(environment, folder, say)
    except (AssertionError, BrowserError, NotAsItShouldBeError, TimeoutError) as error:
        return str(error) or type(error).__name__


async def _run(environment: Environment, folder: Path, say: Say) -> str | None:
    async with (
        running(environment, environment.data / "up.log") as found,
        aiohttp.ClientSession() as session,
        browser_open() as browser,
    ):
        camera = Camera(browser=browser, url=found.url, folder=environment.data / "taken")
        stage = Stage(
            url=found.url,
            sandbox_url=f"http://{found.sandbox}",
            folder=environment.data,
            environment=environment.values,
            session=session,
        )
        await walk(stage, camera, say)
        await bring_about(stage)
        await pictures(camera)
    if faults := faults_of(camera.folder):
        return "; ".join(faults)
    _keep(camera.folder, folder)
    return None


def _keep(taken: Path, folder: Path) -> None:
    """Put pictures in the place of older ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    for new in taken.glob("*.png"):
        shutil.copy(new, folder)


if __name__ == "__main__":
    main()
