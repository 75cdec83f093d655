"""Batches that are being written: their sessions must know of them before the view does."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ledger.session_runs import SeenBatch
from ledger.view import SessionKey
from schemas.records import Origin


@dataclass(frozen=True, slots=True)
class WrittenBatch:
    """A batch that stands in the log, and where."""

    batch_id: str
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Writing:
    """A batch that is being written. `outcome` is where it stands then, None where it came to nothing."""

    batch: SeenBatch
    outcome: "asyncio.Future[WrittenBatch | None]"


@dataclass(slots=True)
class WritesInFlight:
    """What is being written, by session. Nobody waits for anybody but for the very same batch."""

    _by_session: dict[SessionKey, dict[str, Writing]] = field(default_factory=dict)

    @contextmanager
    def entered(self, key: SessionKey, batch: SeenBatch) -> Iterator[tuple[Writing, Mapping[str, Writing]]]:
        """Note a batch while the block is entered; yields it, and those of its session that came before, by id."""
        before = dict(self._by_session.get(key, {}))
        mine = Writing(batch, asyncio.get_running_loop().create_future())
        self._by_session.setdefault(key, {})[batch.batch_id] = mine
        try:
            yield mine, before
        finally:
            if not mine.outcome.done():
                mine.outcome.set_result(None)
            del self._by_session[key][batch.batch_id]
            if not self._by_session[key]:
                del self._by_session[key]
