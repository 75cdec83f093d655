"""Place an upload in its session: it is new, the same that came a moment ago, or in contradiction to it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from ledger.arrivals import Contradiction, Misfit, Retry
from ledger.queries import Queries
from ledger.session_runs import SeenBatch
from ledger.view import SessionKey
from ledger.view_updater import Following, ViewAwayError
from producer.answers import contradicted, misfit, no_room
from producer.upload.encoding import Encoded
from producer.upload.removal_readiness import RemovalReadiness
from producer.upload.writes_in_flight import Writing, WrittenBatch
from schemas.records import Origin
from streams.client.errors import KafkaUnreachableError

log = structlog.get_logger()

VIEW_TIMEOUT = 1.0
"""Seconds for which the view is waited for before a batch that came before is written again: that does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An upload beside what its session had before."""

    encoded: Encoded
    repeats: WrittenBatch | None
    """Where the same stands in the log already; None where it is to be written."""


def session_of(encoded: Encoded) -> SessionKey:
    """Return which session an upload is of."""
    batch = encoded.batch
    return SessionKey(batch.session_id or "", batch.name, batch.type, batch.mode)


def seen(encoded: Encoded) -> SeenBatch:
    """Return an upload that just came as its session will see it."""
    batch = encoded.batch
    return SeenBatch(
        batch_id=batch.batch_id,
        sequence=batch.sequence or 0,
        total_batches=batch.total_batches,
        total_users=batch.total_users,
        users=encoded.users,
        parts=len(encoded.parts),
        parts_seen=len(encoded.parts),
        content_hash=batch.content_hash,
        disable_prefix=batch.disable_prefix,
        channels=None if batch.channels is None else tuple(batch.channels),
        at=datetime.now(UTC),
        is_resumed=encoded.request.resume,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduplicator:
    """Finds what came before. A view that is not up to date, or away, judges nobody; a resumed upload waits for it."""

    following: Following
    queries: Queries
    log_end: Callable[[int], Awaitable[int]]
    """Tells the true end of a partition of the log. Raises KafkaUnreachableError."""
    removals: RemovalReadiness

    async def place(self, encoded: Encoded, batch: SeenBatch, before: Mapping[str, Writing]) -> Placed:
        """Return an upload in its session; `before` is what was being written of that when it came, by id.

        Waits for the very same batch where that is still being written. Raises Refused where its sequence came a
        moment ago with something else, and where it is resumed and can't be judged: it might begin a run of its own.
        """
        if batch.is_resumed and not self.following.is_ready:
            raise no_room(f"resume: {self.following.absence or self.following.building}")
        try:
            repeats = await self._known(session_of(encoded), batch, before) if self.following.is_ready else None
        except ViewAwayError as error:
            if batch.is_resumed:
                raise no_room(f"resume: {error}") from None
            repeats = None
        return Placed(encoded=encoded, repeats=repeats)

    async def _known(self, key: SessionKey, batch: SeenBatch, before: Mapping[str, Writing]) -> WrittenBatch | None:
        """Return where the same stands, None where it is to be written. Raises ViewAwayError, Refused."""
        others = [writing.batch for writing in before.values()]
        verdict = await self.following.ask(lambda: self.queries.judge(key, batch, others))
        if isinstance(verdict, Contradiction):
            raise contradicted(verdict)
        if isinstance(verdict, Misfit):
            raise misfit(verdict)
        return None if verdict is None else await self._standing(key, batch, verdict, before)

    async def _standing(
        self, key: SessionKey, batch: SeenBatch, verdict: Retry, before: Mapping[str, Writing]
    ) -> WrittenBatch | None:
        """Return where the same batch stands, once it does; None where it is to be written. Raises ViewAwayError."""
        batch_id = verdict.batch.batch_id
        stands = await (asyncio.shield(before[batch_id].outcome) if batch_id in before else self._in_view(batch_id))
        if stands is None or not (batch.is_resumed or await self._is_last_word(key, batch, stands)):
            return None
        log.info("Upload repeated: nothing is written.", batch_id=batch_id)
        return stands

    async def _is_last_word(self, key: SessionKey, batch: SeenBatch, stands: WrittenBatch) -> bool:
        """Tell whether surely nothing of another mode of the audience stands behind what stands there.

        What another node has just written may not be in the view yet: so the log is asked where it ends, and the view
        waited for until it has all up to there, for a moment. Where it does not get there, the same is written again.
        While removals are refused there is nothing to ask.
        """
        if not self.removals.is_ready:
            return True
        try:
            first = min(stands.origins)
            if not await self._knows_all(first, await self.log_end(first.partition)):
                return False
            is_cut = await self.following.ask(
                lambda: self.queries.view.has_other_mode_since(key, first, has_no_prefix=batch.disable_prefix)
            )
        except (KafkaUnreachableError, ViewAwayError):
            return False
        return not is_cut

    async def _knows_all(self, first: Origin, end: int) -> bool:
        """Return whether the view has each record behind one up to an end, waiting for it a moment."""
        until = asyncio.get_running_loop().time() + VIEW_TIMEOUT
        with self.following.changes.watched(None) as changed:
            while True:
                changed.clear()
                known = await self.following.ask(
                    lambda: self.queries.view.known_between(first.partition, first.offset, end)
                )
                if known >= end - first.offset - 1:
                    return True
                left = until - asyncio.get_running_loop().time()
                if left <= 0:
                    return False
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await changed.wait()

    async def _in_view(self, batch_id: str) -> WrittenBatch | None:
        known = await self.following.ask(lambda: self.queries.view.records_of(batch_id))
        return WrittenBatch(batch_id, tuple(record.origin for record in known)) if known else None
