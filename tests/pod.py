"""`python tests/pod.py SPEC`: a process of ours that one schema id ends, as some bytes may end a library in C."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deadly import Deadly
from world import KEYS, sandbox_account

from consumer.account.account import Account
from consumer.account.runtime import Deployment
from consumer.account.service import consume
from consumer.account.settings import ConsumerSettings
from consumer.replay.replayer import ReplayOrder, Wish, replay
from ledger.receipts import keep_receipts
from providers.kit.errors import PlatformError
from schemas.avro.framing import Framing
from schemas.records import BatchCompletion, Origin
from schemas.target import parse_target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames


@dataclass(slots=True)
class Pod:
    """A pod that is started again whenever it ends, as an orchestrator does."""

    spec: dict[str, object]
    log: Path
    deaths: int = 0
    process: asyncio.subprocess.Process | None = None

    async def started(self) -> None:
        """Return when it is a member of its group for the first time."""
        async with asyncio.timeout(60):
            while not self.log.exists() or b"Partitions assigned" not in self.log.read_bytes():
                await asyncio.sleep(0.1)

    async def run(self) -> None:
        """Keep it alive until cancelled; then end it in order."""
        try:
            while True:
                with self.log.open("ab") as output:
                    self.process = await asyncio.create_subprocess_exec(
                        sys.executable, __file__, json.dumps(self.spec), stdout=output, stderr=output
                    )
                await self.process.wait()
                self.deaths += 1
                await asyncio.sleep(0.2)
        finally:
            if self.process is not None and self.process.returncode is None:
                self.process.terminate()
                await self.process.wait()


@contextlib.asynccontextmanager
async def pods_running(pods: Sequence[Pod]) -> "contextlib.AsyncIterator[None]":  # type: ignore[name-defined]
    """Keep pods alive while the block is entered."""
    tasks = [asyncio.create_task(pod.run()) for pod in pods]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Nobody:
    """Listens to a replay."""

    def begun(self, before: Sequence[Origin]) -> None:
        """Hear nothing."""

    def ended(self, completion: BatchCompletion) -> None:
        """Hear nothing."""

    def waits(self, error: PlatformError | None, seconds: float) -> None:
        """Hear nothing."""


async def _replay(account: Account, deployment: Deployment, log: str, records: int) -> None:
    """Send the first records of a partition again, and then wait to be ended."""
    wishes = {Origin(topic=log, partition=0, offset=offset): Wish("custom:VIP") for offset in range(records)}
    order = ReplayOrder(replay_id="r-00000001", wishes=wishes, rate=1.0, removed=())
    await replay(account, ConsumerSettings(), deployment, order, _Nobody())
    await asyncio.Event().wait()


async def _run(spec: dict[str, Any]) -> None:
    kafka, names = KafkaSettings(bootstrap_servers=spec["kafka"]), TopicNames(spec["prefix"])
    framing = Framing(Deadly(int(spec.get("by", signal.SIGSEGV))))
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        if spec["kind"] == "ledger":
            await keep_receipts(kafka, names, framing, lambda _: nullcontext())
            return
        account = sandbox_account(parse_target(spec["kind"]), spec["sandbox"])
        if "records" in spec:
            await _replay(
                account, Deployment(kafka=kafka, names=names, framing=framing), names.batches, spec["records"]
            )
        else:
            settings = ConsumerSettings.model_validate({"AUDIENCE_SHUTDOWN_TIMEOUT": 2, **KEYS})
            await consume(account, settings, kafka, names, framing)


if __name__ == "__main__":
    asyncio.run(_run(json.loads(sys.argv[1])))
