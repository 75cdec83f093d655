"""Debian's Prometheus on this machine: our alerts on what `audience up` tells, at a pace that can be waited for."""

import asyncio
import json
import re
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from producer.settings import Address
from streams.processes.ports import free_port

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
EVERY = "1s"
PACE = (
    (r"for: \w+", "for: 2s"),
    (r"\[\w+\]", "[20s]"),
    (r"> \d{3,}", "> 5"),
)
"""What is written of durations, windows and thresholds in seconds, and what stands for it here."""

ANSWER = 5.0
"""Seconds that Prometheus may take for an answer."""


def quickened(rules: str) -> str:
    """Return rules whose alerts fire in seconds by what they else fire by in minutes or hours."""
    for pattern, short in PACE:
        rules = re.sub(pattern, short, rules)
    return rules


def configuration(processes: Mapping[str, Address]) -> str:
    """Return what is scraped: each process by the job that it is of."""
    jobs: dict[str, list[str]] = {}
    for name, address in processes.items():
        jobs.setdefault(f"audience-{name.split()[0]}", []).append(str(address))
    scrapes = [{"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()]
    pace = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
    return json.dumps({"global": pace, "rule_files": ["alerts.yml"], "scrape_configs": scrapes})


class Prometheus:
    """A Prometheus that runs."""

    def __init__(self, port: int, session: aiohttp.ClientSession) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._session = session

    async def firing(self) -> set[str]:
        """Return the alerts that fire now; none while it starts."""
        try:
            async with self._session.get(f"{self._url}/api/v1/alerts") as response:
                alerts = (await response.json())["data"]["alerts"]
        except (aiohttp.ClientError, TimeoutError):
            return set()
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    async def scraped(self) -> set[str]:
        """Return the health of all that is scraped, `up` where it was."""
        try:
            async with self._session.get(f"{self._url}/api/v1/targets") as response:
                targets = (await response.json())["data"]["activeTargets"]
        except (aiohttp.ClientError, TimeoutError):
            return {"unknown"}
        return {target["health"] for target in targets}


@asynccontextmanager
async def prometheus_running(folder: Path, processes: Mapping[str, Address]) -> AsyncIterator[Prometheus]:
    """Run Prometheus while the block is entered."""
    _configure(folder, processes)
    port = free_port()
    process = await _started(folder, port)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER)) as session:
            yield Prometheus(port, session)
    finally:
        process.terminate()
        await process.wait()


def _configure(folder: Path, processes: Mapping[str, Address]) -> None:
    folder.mkdir(parents=True)
    (folder / "alerts.yml").write_text(quickened(RULES.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "prometheus.yml").write_text(configuration(processes), encoding="utf-8")


async def _started(folder: Path, port: int) -> Process:
    with (folder / "log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
