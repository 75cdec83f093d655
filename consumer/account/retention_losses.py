"""Tell what left the log before an account had read it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from consumer.account.runtime import Deployment
from consumer.retries.kafka_retries import keep_trying
from schemas.records import AccountLoss
from schemas.target import Target
from streams.read.group_member import Loss
from streams.tables.account_states import write_loss
from streams.write.writer import Writer


@dataclass(slots=True)
class RetentionLosses:
    """What one process of an account found lost, and has yet to write to the topic of accounts."""

    target: Target
    writer: Writer
    deployment: Deployment
    now: Callable[[], datetime]
    _noted: "asyncio.Queue[Loss]" = field(default_factory=asyncio.Queue, init=False)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop, init=False)

    def note(self, loss: Loss) -> None:
        """Note a loss, on any thread."""
        self._loop.call_soon_threadsafe(self._noted.put_nowait, loss)

    async def write_noted(self) -> None:
        """Write what is noted, without end."""
        while True:
            await self._write(await self._noted.get())

    async def _write(self, loss: Loss) -> None:
        report = AccountLoss(
            provider=self.target.provider,
            account=self.target.account or None,
            partition=loss.partition,
            first_offset=loss.first_offset,
            end_offset=loss.end_offset,
            records=loss.records,
            reported_at=self.now(),
        )
        topic, framing = self.deployment.names.accounts, self.deployment.framing
        what = "A loss is not acknowledged"
        await keep_trying(lambda: write_loss(self.writer, topic, report, framing), what, self.deployment.time)
