"""`python -m checks.alerts`: exit 0 only if each alert that a fault here brings about fired, and cleared after it."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
from rich.console import Console

from checks.alerts.faults import FAULTS, UPLOAD, Stage
from checks.alerts.prometheus import Prometheus, prometheus_running
from cli.demo.environment import demo_environment
from cli.local_stack.running import running
from cli.settings.config import load
from cli.settings.environment import Environment

LIMIT = 120.0
"""Seconds in which an alert must have fired, or cleared."""

SETTINGS = {"AUDIENCE_SANDBOX_LIMITS": "false", "FACEBOOK_PACE": "off", "TIKTOK_PACE": "off", "KLAVIYO_PACE": "off"}

Say = Callable[[str], None]


def main() -> None:
    """Run, say of each alert how long it took, and exit."""
    console = Console(highlight=False, soft_wrap=True)
    if shutil.which("prometheus") is None:
        sys.exit("alerts: prometheus is not on this machine; install Debian's package of that name")
    values = {**demo_environment(os.environ, "alerts").values, **SETTINGS}
    environment = Environment(values, dict.fromkeys(values, "environment"))
    shutil.rmtree(environment.data, ignore_errors=True)
    environment.data.mkdir(parents=True)
    faults = asyncio.run(run(environment, lambda text: console.print(text, markup=False)))
    for fault in faults:
        console.print(fault, markup=False)
    console.print(f"alerts: {'FAILED; logs are in ' + str(environment.data) if faults else 'each fired and cleared'}")
    sys.exit(1 if faults else 0)


async def run(environment: Environment, say: Say) -> list[str]:
    """Do it all; return what is wrong."""
    names = load(environment).names
    timeout = aiohttp.ClientTimeout(total=UPLOAD)
    async with (
        running(environment, environment.data / "up.log") as found,
        prometheus_running(environment.data / "prometheus", found.metrics) as prometheus,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        view = environment.data / "view" / f"{found.server.host}-{found.server.port}.sqlite"
        stage = Stage(found=found, names=names, view=view, session=session)
        if not await _comes(_all_scraped(prometheus)):
            return ["not every process could be scraped"]
        return [wrong for alerts in FAULTS for wrong in await _tried(alerts, stage, prometheus, say)]


async def _tried(alerts: tuple[str, ...], stage: Stage, prometheus: Prometheus, say: Say) -> list[str]:
    """1. Bring alerts about. 2. Wait until they fire. 3. Mend what was wrong. 4. Wait until nothing fires."""
    begun, named = time.monotonic(), " and ".join(alerts)
    async with FAULTS[alerts](stage):
        if not await _comes(_all_fire(alerts, prometheus)):
            return [f"{named}: did not fire; what fires is {sorted(await prometheus.firing())}"]
        fired = time.monotonic() - begun
    begun = time.monotonic()
    if not await _comes(_none_fires(prometheus)):
        return [f"{named}: something fires on: {sorted(await prometheus.firing())}"]
    say(f"{named}: fired after {fired:.0f} s, cleared {time.monotonic() - begun:.0f} s after mending")
    return []


def _all_scraped(prometheus: Prometheus) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return await prometheus.scraped() == {"up"} and not await prometheus.firing()

    return is_so


def _all_fire(alerts: tuple[str, ...], prometheus: Prometheus) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return set(alerts) <= await prometheus.firing()

    return is_so


def _none_fires(prometheus: Prometheus) -> Callable[[], Awaitable[bool]]:
    async def is_so() -> bool:
        return not await prometheus.firing()

    return is_so


async def _comes(is_so: Callable[[], Awaitable[bool]]) -> bool:
    deadline = time.monotonic() + LIMIT
    while not await is_so():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.5)
    return True


if __name__ == "__main__":
    main()
