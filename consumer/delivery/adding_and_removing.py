"""The two calls that a record makes of its rows: into the audience, or out of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from consumer.delivery.additions import add, of_rows
from consumer.delivery.audiences import Audiences
from consumer.delivery.call_sharing.call_members import Member
from consumer.delivery.call_sharing.shared_call import Key
from consumer.delivery.call_sharing.shared_calls import SharedCalls
from consumer.delivery.outcome import Outcome
from consumer.ordering.log_position import LogPosition
from consumer.retries.account_gate import Caller, End
from consumer.retries.attempts import Attempts
from consumer.retries.clock import Time
from providers.kit.current_record import current_record
from providers.kit.errors import AudienceGoneError, RejectError, platform_error
from providers.kit.pre_send_checks import pre_send_checks
from providers.kit.provider import AnyProvider, Removed, Sent
from providers.kit.rows.rows_per_call import RowGroup
from schemas.records import AudienceType

PAUSE = 1.0
"""Seconds between questions whether a job has ended, for which a removal waits."""

QUESTIONS = 10
"""So many are asked in place; then the removal is tried again later, after as many pauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adding:
    """Sends rows of one record to its audience."""

    provider: AnyProvider
    audiences: Audiences
    name: str
    type: AudienceType
    attempts: Attempts
    outcome: Outcome
    place: LogPosition | None = None
    shared: SharedCalls | None = None
    """What makes calls with rows of other records; None: the record goes by itself."""

    async def __call__(self, rows: RowGroup, may_share: bool) -> Sent:
        """Send rows, and again until that passes or never will. Raises what Attempts do; RowsRefusedError."""
        shared = self.shared
        if may_share and shared is not None and shared.takes(rows):
            return await self.attempts.run_by(lambda caller: self._together(shared, rows, caller))
        return await self.attempts.run(lambda: self._alone(rows))

    async def _alone(self, rows: RowGroup) -> Sent:
        audience_id = await self.audiences.ask(self.name, self.type)
        self.outcome.audience_id, self.outcome.is_sent = audience_id, True
        return await add(self.provider, self.audiences, self.name, audience_id, rows.rows)

    async def _together(self, shared: SharedCalls, rows: RowGroup, caller: Caller) -> End[Sent]:
        place = self.place
        member = Member(
            caller=caller,
            rows=rows,
            outcome=self.outcome,
            place=place.offset if place is not None else 0,
            current=current_record(),
            looks=pre_send_checks(),
            since=shared.time.clock(),
        )
        return await shared.send(Key(place.partition if place is not None else None, self.name, self.type), member)


@dataclass(slots=True, kw_only=True)
class Removing:
    """Takes the people of rows out of the audience, which is never created.

    Where there is none, or none any more, nobody is in it, which is a success. Before the first call the jobs are
    waited for that the platform took for earlier records.
    """

    provider: AnyProvider
    audiences: Audiences
    name: str
    type: AudienceType
    attempts: Attempts
    outcome: Outcome
    time: Time
    is_free: Callable[[], Awaitable[bool]]
    """Tells whether those jobs have ended."""
    _has_been_free: bool = False

    async def __call__(self, rows: RowGroup, may_share: bool) -> Sent:
        """Take people out, and again until that passes or never will. Raises as `Adding` does."""
        del may_share  # who leaves is named by one record, whose turn it is
        return await self.attempts.run(lambda: self._once(rows))

    async def _once(self, rows: RowGroup) -> Sent:
        await self._until_free()
        audience_id = await self.audiences.existing(self.name, self.type)
        if audience_id is None:
            return Removed(removed=0)
        self.outcome.audience_id, self.outcome.is_sent = audience_id, True
        try:
            return await self.provider.remove(audience_id, rows.rows)
        except AudienceGoneError:
            return await self._of_successor(audience_id, rows)
        except RejectError as error:
            raise of_rows(error) from error

    async def _until_free(self) -> None:
        """Wait for earlier jobs for a while. Raises RetryError(`job_pending`)."""
        for _ in range(QUESTIONS):
            self._has_been_free = self._has_been_free or await self.is_free()
            if self._has_been_free:
                return
            await self.time.sleep(PAUSE)
        raise platform_error("job_pending", wait=QUESTIONS * PAUSE)

    async def _of_successor(self, gone: str, rows: RowGroup) -> Sent:
        """Take people out of the audience that bears the name now, if there is one."""
        self.audiences.forget(self.name, gone)
        audience_id = await self.audiences.existing(self.name, self.type)
        if audience_id in (None, gone):
            return Removed(removed=0)
        self.outcome.audience_id = audience_id
        try:
            return await self.provider.remove(audience_id, rows.rows)
        except AudienceGoneError:
            return Removed(removed=0)
        except RejectError as error:
            raise of_rows(error) from error
