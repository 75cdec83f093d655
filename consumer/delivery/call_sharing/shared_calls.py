"""Calls that small records of one audience share: those that wait at the same time go up together."""

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field, replace

import structlog

from consumer.delivery.additions import add
from consumer.delivery.audiences import Audiences
from consumer.delivery.call_sharing.call_members import Member, leaves_room, rejected_by_member, rows_of
from consumer.delivery.call_sharing.shared_call import Key, Line, SharedCall, SomebodyLeftError
from consumer.delivery.call_sharing.unplaced_counts import Answered, SendAgain, placed, refused_of
from consumer.delivery.platform_calls import Calls, RowsRefusedError, named_in
from consumer.retries.account_gate import End, Gate, GivenUpError, Passage, ShutOutError, facts_of
from consumer.retries.clock import Time
from consumer.retries.retry_policy import InPlace, RetryPolicy
from providers.kit.current_record import calls_for
from providers.kit.errors import AudienceGoneError, PlatformError, RejectError, RetryError, StopError, ThrottleError
from providers.kit.pre_send_checks import pre_send_check
from providers.kit.provider import AnyProvider, NamedRowsError, Rejection, Sent
from providers.kit.rows.rows_per_call import RowGroup
from schemas.tracebacks import place_of

log = structlog.get_logger()

LONGEST_TURN = 0.05
"""Seconds for which a call that is formed keeps others from being formed, unless its bytes have gone sooner.

One that takes longer waits for a slot or the pace. There it is one of many, as the calls of large records are, so calls
of other audiences may wait there as well, while records collect behind each.
"""

ATTEMPTS = 4
"""Tries of one call that looks for rows that the platform refused by number; the rows themselves were taken."""


@dataclass(slots=True, kw_only=True)
class SharedCalls:
    """The additions of one account that may share a call.

    A record that comes while no call of its key waits begins one. Records that come before that call is formed go with
    it, later ones go with the next. Calls are formed one at a time: the next one when the bytes of the one before have
    gone, or LONGEST_TURN is over. So a call holds all records that have come meanwhile, and none is put off so that
    others can come.
    A call that is refused for rows is made again in halves, cut between records, down to one record. From there on that
    record's own rules hold: what becomes of a record is what would have become of it alone.
    """

    provider: AnyProvider
    audiences: Audiences
    gate: Gate
    policy: RetryPolicy
    time: Time
    search_calls: int
    """Calls in which the rows of one call are looked for that the platform refused by number."""
    _lines: dict[Key, Line] = field(default_factory=dict)
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def takes(self, rows: RowGroup) -> bool:
        """Tell whether rows may share a call."""
        return self.provider.shares_calls and leaves_room(rows, self.provider.limits)

    async def send(self, key: Key, member: Member) -> End[Sent]:
        """Send a record's rows, with those of others that wait, and return how that ended for it alone."""
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key)
        line.queue.append(member)
        if not line.has_waiting_call:
            self._begin(line)
        return await member.ended

    async def close(self) -> None:
        """End all calls."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, line: Line) -> None:
        line.has_waiting_call = True
        task = asyncio.create_task(self._run(line), context=Context())  # it is nobody's own
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, line: Line) -> None:
        """Make one call of those that wait; the next one waits from when its bytes have gone."""
        call = SharedCall(key=line.key, line=line)
        try:
            await self._make(call)
        except Exception as error:
            log.error("A call that records share failed by a bug.", call=call.id, at=place_of(error), action="reject")
            if not call.members:
                call.form(self.provider.limits)
            call.leave_all(error)
        except asyncio.CancelledError:
            for member in (*call.members, *line.queue):
                member.ended.cancel()
            raise
        finally:
            if not call.has_gone:
                self._go_on(line)

    def _go_on(self, line: Line) -> None:
        """Let the next call wait, if there is anybody for it."""
        line.has_waiting_call = False
        while line.queue and line.queue[0].has_left:
            line.queue.popleft()
        if line.queue:
            self._begin(line)
        elif self._lines.get(line.key) is line:
            del self._lines[line.key]

    async def _make(self, call: SharedCall) -> None:
        """Make a call, and go by how it ended for each of its records."""
        end = await self._gone(call)
        if end is None:
            return
        error = end.error
        if len(call.members) == 1:
            call.members[0].resolve(replace(end, waited=call.members[0].waited))
        elif error is None:
            await self._taken(call, end)
        elif isinstance(error, RowsRefusedError) or not (isinstance(error, PlatformError) or end.is_parked):
            await self._refused(call, error)
        else:
            call.fail_all(end)
        call.members = []  # an error's frames may hold the call: nobody's rows are to be held by their own error

    async def _gone(self, call: SharedCall) -> End[Sent] | None:
        """Return how a call ended, None where nobody wants it any more."""
        try:
            end = await self.gate.go(lambda passage: self._sent(call, passage), call.callers)
        except GivenUpError:
            call.leave_all(GivenUpError())  # of those who were in it; who joined the line meanwhile is another call's
            for member in list(call.line.queue) if call.line is not None else ():
                member.stays()
            return None
        if not call.members:  # it failed before it was formed
            call.form(self.provider.limits)
        if end.error is not None and call.is_shared:
            _say(call, end.error)
        return end

    async def _sent(self, call: SharedCall, passage: Passage) -> Sent:
        """Send the rows of those who are in a call when its bytes go. Raises GivenUpError where there is nobody."""
        call.excuse(passage.waited, self.time.clock())
        audience_id = await self.audiences.ask(call.key.name, call.key.type)
        await self._turn.acquire()
        call.turn = asyncio.get_running_loop().call_later(LONGEST_TURN, self._give_turn, call)
        try:
            if passage.is_parked():
                raise ShutOutError
            while True:
                try:
                    return await self._sent_to(audience_id, call)
                except SomebodyLeftError:
                    continue
        finally:
            self._give_turn(call)

    def _give_turn(self, call: SharedCall) -> None:
        if call.turn is not None:
            call.turn.cancel()
            call.turn = None
            self._turn.release()

    async def _sent_to(self, audience_id: str, call: SharedCall) -> Sent:
        call.form(self.provider.limits)
        if not call.members:
            raise GivenUpError
        _note_sent(call, audience_id)
        rows = rows_of(call.members)
        with calls_for(call.current), pre_send_check(lambda: self._look(call)):
            sent = await add(self.provider, self.audiences, call.key.name, audience_id, rows)
        return _checked(sent, len(rows)) if call.is_shared else sent

    async def _look(self, call: SharedCall) -> None:
        """Ask for each record whether it is still wanted, right before bytes go.

        Before the first ones, who is not leaves the call, and it is made anew of the others.
        """
        for member in call.members:
            if not member.has_left:
                await member.look()
        staying = [member for member in call.members if member.stays()]
        if not staying:
            raise GivenUpError
        if len(staying) < len(call.members) and not call.has_gone:
            raise SomebodyLeftError
        for member in staying:
            member.caller.called()
        if not call.has_gone:
            call.has_gone = True
            self._give_turn(call)
            if call.line is not None:
                self._go_on(call.line)

    async def _taken(self, call: SharedCall, end: End[Sent]) -> None:
        call.note_shared()
        sent = end.result or Sent()
        for one in await placed(Answered(call.members, sent), self._sending_again(call.key)):
            if one.unplaced:
                one.member.outcome.note_shared(call.id, one.unplaced)
            one.member.resolve(End(result=one.sent, waited=one.member.waited))

    async def _refused(self, call: SharedCall, error: Exception) -> None:
        """Give rows that are named to their records, and send the others again; where none are, send halves."""
        call.note_shared()
        by = error.by if isinstance(error, RowsRefusedError) else None
        named = dict(named_in(by, sum(len(member.rows.rows) for member in call.members))) if by is not None else {}
        if by is None or not named:
            middle = len(call.members) // 2
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_anew(call.key, call.members[:middle]))
                tasks.create_task(self._send_anew(call.key, call.members[middle:]))
            return
        others: list[Member] = []
        for member, own in zip(call.members, rejected_by_member(call.members, named), strict=True):
            if own:
                member.resolve(End(error=RowsRefusedError(_naming(by, own)), waited=member.waited))
            else:
                others.append(member)
        await self._send_anew(call.key, others)

    async def _send_anew(self, key: Key, members: Sequence[Member]) -> None:
        call = SharedCall(key=key, members=[member for member in members if not member.has_left])
        del members  # as at the end of `_make`: an error's frames know this one
        if call.members:
            await self._make(call)

    def _sending_again(self, key: Key) -> SendAgain:
        """Return what sends rows again that were taken, within the calls that a search may cost."""
        calls = Calls(self.search_calls)

        async def send_again(members: Sequence[Member]) -> Answered | None:
            for attempt in range(1, ATTEMPTS + 1):
                call = SharedCall(key=key, members=[member for member in members if not member.has_left])
                end = await self._gone(call) if calls.take() else End()
                if end is None:
                    return Answered((), Sent())
                if end.result is not None:
                    call.note_shared()
                    return Answered(call.members, end.result)
                if not isinstance(end.error, PlatformError) or not await self._may_go_again(call, end, attempt):
                    return None
            return None

        return send_again

    async def _may_go_again(self, call: SharedCall, end: End[Sent], attempt: int) -> bool:
        """Wait after a call that looks for rows failed; False where their number is rather told as it is.

        One without an answer may take effect later, as any other.
        """
        error = end.error
        if isinstance(error, ThrottleError):
            is_short = error.operation is None or end.held <= self.policy.longest_in_place
            await self.time.sleep(end.held if error.operation and is_short else 0)
            return is_short
        if not isinstance(error, RetryError | StopError) or isinstance(error, AudienceGoneError) or end.is_lone:
            return False
        if error.is_ambiguous:
            for member in call.members:
                member.caller.doubt()
        decision = self.policy.decide(
            attempt, age=0.0, asked=error.wait, chance=self.time.chance(), is_shared=error.scope == "account"
        )
        if isinstance(decision, InPlace):
            await self.time.sleep(decision.seconds)
        return isinstance(decision, InPlace)


def _note_sent(call: SharedCall, audience_id: str) -> None:
    """Note where rows go, out of sight of the frames that an error of the call knows."""
    for member in call.members:
        member.outcome.audience_id, member.outcome.is_sent = audience_id, True


def _checked(sent: Sent, rows: int) -> Sent:
    """Return what a platform did with so many rows. Raises ValueError where it can't have done that: a bug."""
    if any(not 0 <= position < rows for position in sent.rejected) or refused_of(sent) > rows:
        raise ValueError("rows are refused that were not in the call")
    return sent


def _naming(by: RejectError, rejected: Mapping[int, Rejection]) -> NamedRowsError:
    return NamedRowsError(by.code, rejected=rejected, platform_code=by.platform_code, request_id=by.request_id)


def _say(call: SharedCall, error: Exception) -> None:
    """Log that a call failed, under the id by which the completions of its records name it."""
    facts: dict[str, object] = {"call": call.id, "records": len(call.members)}
    if isinstance(error, PlatformError):
        log.warning("A call that records share failed.", **facts_of(error, facts))
    else:
        log.error("A provider failed on a call that records share.", at=place_of(error), **facts)
