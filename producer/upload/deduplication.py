"""Place an upload in its session: it is new, the same that came a moment ago, or in contradiction to it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from ledger.queries import Queries
from ledger.sessions import Contradiction, SeenBatch
from ledger.view import SessionKey
from ledger.view_updater import Following, ViewAwayError
from producer.answers import contradicted
from producer.upload.encoding import Encoded
from producer.upload.under_way import Stands, Writing

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """An upload beside what its session had before."""

    encoded: Encoded
    repeats: Stands | None
    """Where the same stands in the log already; None where it is to be written."""


def session_of(encoded: Encoded) -> SessionKey:
    """Return which session an upload is of."""
    batch = encoded.batch
    return SessionKey(batch.session_id or "", batch.name, batch.type)


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
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduplicator:
    """Finds what came before. A view that is not up to date, or away, judges nobody."""

    following: Following
    queries: Queries

    async def place(self, encoded: Encoded, batch: SeenBatch, before: Mapping[str, Writing]) -> Placed:
        """Return an upload in its session; `before` is what was being written of that when it came, by id.

        Waits for the very same batch where that is still being written. Raises Refused where its sequence came a
        moment ago with something else.
        """
        repeats = await self._known(session_of(encoded), batch, before) if self.following.is_ready else None
        return Placed(encoded=encoded, repeats=repeats)

    async def _known(self, key: SessionKey, batch: SeenBatch, before: Mapping[str, Writing]) -> Stands | None:
        others = [writing.batch for writing in before.values()]
        try:
            verdict = await self.following.ask(lambda: self.queries.judge(key, batch, others))
        except ViewAwayError:
            return None
        if isinstance(verdict, Contradiction):
            raise contradicted(verdict)
        if verdict is None:
            return None
        batch_id = verdict.batch.batch_id
        if batch_id in before:
            return await asyncio.shield(before[batch_id].outcome)
        return await self._in_view(batch_id)

    async def _in_view(self, batch_id: str) -> Stands | None:
        try:
            known = await self.following.ask(lambda: self.queries.view.records_of(batch_id))
        except ViewAwayError:
            return None
        log.info("Upload repeated: nothing is written.", batch_id=batch_id)
        return Stands(batch_id, tuple(record.origin for record in known))
