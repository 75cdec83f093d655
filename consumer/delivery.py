"""Bring the users of one record to one platform account."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from consumer.attempts import Attempts, Notice, Time
from consumer.audiences import Audiences
from consumer.retry import RetryPolicy
from consumer.tally import Tally
from providers.base import AnyProvider, Sent
from providers.errors import AudienceGoneError, PlatformError, RejectError, TooMuchError
from providers.pace import Pace
from providers.rows import RowGroup, Rows, group_rows, make_rows, place_of
from schemas.records import AudienceBatch, AudienceUser

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One account's way to its platform. Records may be delivered at the same time."""

    provider: AnyProvider
    pace: Pace
    policy: RetryPolicy
    time: Time
    audiences: Audiences
    preparing: asyncio.Lock

    async def deliver(self, batch: AudienceBatch, notice: Notice) -> Tally:
        """Deliver a batch and return what happened to each user; the platform's errors are in there.

        1. Make rows; unusable users are rejected. 2. Find or create the audience. 3. Send all groups of rows
        at once, as slots and pace allow. `notice` is awaited when a call is to be tried again.
        """
        context: dict[str, object] = {"batch_id": batch.batch_id, "provider": self.provider.name}
        attempts = Attempts(policy=self.policy, pace=self.pace, time=self.time, notice=notice, context=context)
        tally = Tally(received=len(batch.users))
        made = await self._make_rows(batch.users, batch.first_index)
        for index, rejection in made.rejected:
            tally.reject(index, rejection)
        if made.rows:
            name = self.provider.platform_name(batch.name, disable_prefix=batch.disable_prefix)
            await self._send_all(batch, name, made, attempts, tally)
        tally.attempts = attempts.most
        return tally

    async def _make_rows(self, users: Sequence[AudienceUser], first_index: int) -> Rows:
        """One record after the other, so that the first can be under way while the next is prepared."""
        made = Rows()
        async with self.preparing:
            for grown in make_rows(self.provider, users, first_index):
                made = grown
                await asyncio.sleep(0)
        return made

    async def _send_all(self, batch: AudienceBatch, name: str, made: Rows, attempts: Attempts, tally: Tally) -> None:
        async def send(group: RowGroup) -> None:
            try:
                tally.add(group, await attempts.run(lambda: self._send(batch, name, group, tally)))
            except TooMuchError as error:
                if len(group.rows) == 1:
                    return tally.fail(error)
                for half in group.halves():
                    await send(half)
            except PlatformError as error:
                tally.fail(error)
            except Exception as error:
                log.error("A provider failed.", at=place_of(error), action="reject", **attempts.context)
                tally.fail(RejectError("bug"))

        async with asyncio.TaskGroup() as tasks:
            for group in group_rows(made, self.provider.limits):
                tasks.create_task(send(group))

    async def _send(self, batch: AudienceBatch, name: str, group: RowGroup, tally: Tally) -> Sent:
        audience_id = await self.audiences.id_of(name, batch.type)
        tally.audience_id = audience_id
        try:
            return await self.provider.send(audience_id, group.rows)
        except AudienceGoneError:
            self.audiences.forget(name, audience_id)
            raise
