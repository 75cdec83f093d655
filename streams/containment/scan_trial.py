"""Which records of the log end a process that looks through it.

A scan begins anew in each process and meets the same records again, so that one of them would end process after
process; and whoever scans has perhaps taken nothing over. So what was written by a schema that is not ours is tried in
a child process, always. What a schema of ours wrote needs no trial: they are few, flat, and the same for everybody, and
any bytes can be read by them (`make equality`, `make records`).
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from schemas.avro.codec import BATCHES
from schemas.avro.framing import Framing, UndecodableError, is_framed, is_ours
from streams.containment.quarantine import Trial
from streams.read.consumer_thread import Record

MOST_SCHEMAS = 1_000
"""Schemas of which it is remembered what they are; anybody may name any number."""

_MARK = 5
"""Bytes that name a schema of a registry."""

Kind = Literal["ours", "another's", "deadly"]


@dataclass(slots=True)
class ScanTrial:
    """Tries records in a child process where that is needed, on behalf of a scan's thread.

    It is made in the event loop. Its methods are called on other threads, as they wait for the loop.
    """

    framing: Framing
    trial: Trial
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _kinds: dict[bytes, Kind] = field(default_factory=dict)

    def ends_process(self, record: Record) -> bool:
        """Tell whether reading a record ends a process. Raises RegistryUnavailableError."""
        kind = self._kind(record)
        return kind == "deadly" or (kind == "another's" and self._is_deadly(record))

    def has_deadly_schema(self, record: Record) -> bool:
        """Tell whether reading the schema alone of a record ends a process. Raises RegistryUnavailableError."""
        return self._kind(record) == "deadly"

    def _kind(self, record: Record) -> Kind:
        """Return what the schema of a record is; one that nobody reads by is as harmless as ours."""
        if self.framing.registry is None or not is_framed(record.value):
            return "ours"
        mark = record.value[:_MARK]
        known = self._kinds.get(mark)
        if known is None and (known := self._found(replace(record, value=mark))) is not None:
            if len(self._kinds) >= MOST_SCHEMAS:
                self._kinds.clear()
            self._kinds[mark] = known
        return known or "ours"

    def _found(self, only_mark: Record) -> Kind | None:
        """Return what a schema is, which a child reads before we do; None while there is none to read by."""
        if self._is_deadly(only_mark):
            return "deadly"
        for name in BATCHES.values():
            with suppress(UndecodableError):
                schema, _ = self.framing.open(name, only_mark.value)
                return "ours" if is_ours(name, schema) else "another's"
        return None

    def _is_deadly(self, record: Record) -> bool:
        return asyncio.run_coroutine_threadsafe(self.trial.ends_process(record), self._loop).result()
