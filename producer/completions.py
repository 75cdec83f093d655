"""Wait for what the platforms did with a batch."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import structlog

from schemas.codec import decode_batch_completion
from schemas.framing import Framing, RegistryUnavailableError, UndecodableError
from schemas.records import TERMINAL, AccountState, BatchCompletion, Origin
from schemas.target import Target
from streams.settings import KafkaSettings
from streams.states import States
from streams.tail import Tail
from streams.thread import Record

log = structlog.get_logger()

SUCCESSES = frozenset({"delivered", "partial"})


@dataclass(slots=True)
class Result:
    """What one target did with all parts of a request."""

    target: Target
    parts: list[BatchCompletion]
    is_complete: bool
    blocked: AccountState | None = None
    """How the account stands, where it is parked and not through with all parts."""

    @property
    def accepted(self) -> int:
        """Users that the platform took."""
        return sum(part.counts.accepted for part in self.parts)

    @property
    def is_success(self) -> bool:
        """Every part is over, none failed, and somebody was accepted."""
        return self.is_complete and self.failed is None and self.accepted > 0

    @property
    def is_failure(self) -> bool:
        """A part failed, the account is parked, or all is over and nobody was accepted."""
        return self.failed is not None or self.blocked is not None or (self.is_complete and self.accepted == 0)

    @property
    def failed(self) -> BatchCompletion | None:
        """The first part that came to no success."""
        return next((part for part in self.parts if part.status not in SUCCESSES), None)

    @property
    def reasons(self) -> Counter[str]:
        """How many users were rejected for which reason."""
        return sum((Counter(part.rejected_reasons) for part in self.parts), Counter())

    @property
    def status(self) -> str:
        """One word for all parts."""
        if self.failed is not None:
            return self.failed.status
        if self.blocked is not None:
            return "blocked"
        if not self.is_complete:
            return "waiting"
        return "partial" if self.reasons else "delivered"

    def why(self) -> str:
        """Say why a failure is one, without a value of any user."""
        if self.failed is not None:
            return f"{self.failed.error_code or self.failed.status}{_facts(self.failed)}"
        if self.blocked is not None:
            return f"blocked: {self.blocked.error_code}{_facts(self.blocked)}"
        listed = ", ".join(f"{reason}: {count}" for reason, count in self.reasons.most_common(5))
        return f"no user was accepted ({listed})"

    def as_json(self) -> dict[str, object]:
        """Return the result for `detail=true`."""
        failed = self.failed or self.blocked
        return {
            "provider": self.target.provider,
            "account": self.target.account or None,
            "status": self.status,
            "received": sum(part.counts.received for part in self.parts),
            "accepted": self.accepted,
            "rejected": sum(part.counts.rejected for part in self.parts),
            "reasons": dict(self.reasons),
            "error": failed.error_code if failed else None,
            "platformCode": failed.platform_code if failed else None,
            "requestId": failed.request_id if failed else None,
        }


def _facts(told: BatchCompletion | AccountState) -> str:
    """Return the platform's code and request id in brackets, nothing where it gave none."""
    request = told.request_id and f"request {told.request_id}"
    facts = ", ".join(fact for fact in (told.platform_code, request) if fact)
    return f" ({facts})" if facts else ""


@dataclass(slots=True)
class Waiter:
    """The completions of one batch so far: for each record and target a success, else the latest failure."""

    targets: Sequence[Target]
    blocked: Callable[[Target], AccountState | None]
    _latest: dict[tuple[Origin, Target], BatchCompletion] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, completion: BatchCompletion) -> None:
        """Fold a completion in, in whatever order they come."""
        place = completion.origin, Target(completion.provider, completion.account or "")
        known = self._latest.get(place)
        is_final = known is not None and known.status in SUCCESSES
        if completion.status in TERMINAL and completion.delivery == "live" and not is_final:
            self._latest[place] = completion
            self._changed.set()

    def wake(self) -> None:
        """Look again, as an account's state has changed."""
        self._changed.set()

    def results(self, origins: Iterable[Origin]) -> list[Result]:
        """Return what each target did with these records."""
        wanted = list(origins)
        results = []
        for target in self.targets:
            parts = [self._latest[o, target] for o in wanted if (o, target) in self._latest]
            is_complete = len(parts) == len(wanted)
            blocked = None if is_complete else self.blocked(target)
            results.append(Result(target, parts, is_complete, blocked))
        return results

    async def wait(self, origins: Sequence[Origin], timeout: float) -> list[Result]:
        """Return when every target is through with every record or parked, or the time is over."""
        try:
            async with asyncio.timeout(timeout):
                while not all(result.is_complete or result.blocked for result in self.results(origins)):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.results(origins)


class Completions:
    """Hands completions to whoever waits for their batch; the others are dropped."""

    def __init__(self, framing: Framing, states: States) -> None:
        self._framing = framing
        self._states = states
        self._waiters: dict[str, Waiter] = {}
        states.listen(lambda _: self._wake())

    def _wake(self) -> None:
        for waiter in self._waiters.values():
            waiter.wake()

    def _blocked(self, target: Target) -> AccountState | None:
        state = self._states.of(target)
        return state if state and state.state == "blocked" else None

    @contextmanager
    def expect(self, batch_id: str, targets: Sequence[Target]) -> Iterator[Waiter]:
        """Collect completions of a batch until the block is left; enter it before the batch is written."""
        waiter = Waiter(targets, self._blocked)
        self._waiters[batch_id] = waiter
        try:
            yield waiter
        finally:
            del self._waiters[batch_id]

    @asynccontextmanager
    async def following(self, kafka: KafkaSettings, topic: str) -> AsyncIterator["asyncio.Task[None]"]:
        """Follow the topic from its end as it is on entering; yields the task that does, which never ends well."""
        async with Tail(kafka, topic) as tail:
            task = asyncio.create_task(self._follow(tail))
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _follow(self, tail: Tail) -> None:
        async for records in tail.batches():
            for record in records:
                if record.key is not None and record.key.decode(errors="replace") in self._waiters:
                    await self._hand_over(record)

    async def _hand_over(self, record: Record) -> None:
        try:
            completion = await asyncio.to_thread(decode_batch_completion, record.value, self._framing)
        except (UndecodableError, RegistryUnavailableError):
            log.warning("A completion can't be decoded and is ignored.", origin=str(record.origin))
            return
        waiter = self._waiters.get(completion.batch_id or "")
        if waiter is not None:
            waiter.take(completion)
