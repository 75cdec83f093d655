"""Reads how the things stand that changed, and makes each the bytes of an event."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from ledger.queries import Queries
from ledger.resources import AccountStatus, BatchStatus, SessionSummary
from ledger.view import RecordRow, SessionKey
from producer.events.change_log import Change, Reset
from producer.events.resources import AccountEvent, ChangeEvent, LossEvent, ResetEvent, batch_event
from producer.events.selection import Subject
from schemas.records import AccountLoss
from schemas.target import Target


def loss_key(loss: AccountLoss) -> str:
    """Return what a loss is known by."""
    return f"{Target(loss.provider, loss.account or '')} {loss.partition}@{loss.first_offset}"


def event(kind: str, data: Struct) -> bytes:
    """Return an event without its id."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(data))


def reset_event(event_id: str, reason: Reset) -> bytes:
    """Return what tells a listener to ask anew."""
    return with_ids([event("reset", ResetEvent(reason=reason))], event_id, event_id)


def with_ids(events: Sequence[bytes], before: str, after: str) -> bytes:
    """Return events that are sent together, the last with the id to go on from behind all of them.

    The others have the id from before: who is cut off between them is sent all again, and misses none.
    """
    ids = [before] * (len(events) - 1) + [after]
    return b"".join(b"id: %b\n%b" % (one.encode(), body) for one, body in zip(ids, events, strict=True))


def mark(event_id: str) -> bytes:
    """Return what moves a listener's id on without an event."""
    return b"id: %b\n\n" % event_id.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReader:
    """Reads how things stand. Takes a fraction of a millisecond for each."""

    queries: Queries
    accounts: Mapping[Target, AccountStatus]
    losses_of: Callable[[Target], Iterable[AccountLoss]]

    def first_records(self, changes: Iterable[Change]) -> dict[str, RecordRow]:
        """Return a record of each batch that changed and is known. Raises sqlite3.Error."""
        return self.queries.first_records(change.key for change in changes if change.kind == "batch")

    def events(self, subjects: Iterable[Subject]) -> dict[Subject, bytes]:
        """Return an event of each thing that is known, all batches and all sessions read together.

        Raises sqlite3.Error.
        """
        some = list(subjects)
        sessions = self.queries.summaries(key for one in some if isinstance(key := one.key, SessionKey))
        batches = self.queries.batches_without_time(
            key for one in some if one.kind == "batch" and isinstance(key := one.key, str)
        )
        found = ((one, self._resource(one, sessions, batches)) for one in some)
        return {subject: event(subject.kind, resource) for subject, resource in found if resource is not None}

    def _resource(
        self, subject: Subject, sessions: Mapping[SessionKey, SessionSummary], batches: Mapping[str, BatchStatus]
    ) -> Struct | None:
        if isinstance(subject.key, SessionKey):
            return sessions.get(subject.key)
        if subject.kind == "change":
            return ChangeEvent()
        if subject.kind == "batch":
            return batch_event(batches[subject.key]) if subject.key in batches else None
        return self._account(subject.key) if subject.kind == "account" else self._loss(subject.key)

    def _account(self, name: str) -> AccountEvent | None:
        status = next((one for target, one in list(self.accounts.items()) if str(target) == name), None)
        if status is None:
            return None
        return AccountEvent(
            provider=status.provider,
            account=status.account,
            state=status.state,
            since=status.since,
            until=status.until,
            behind=status.behind,
            has_consumer=status.has_consumer,
            error=status.error,
        )

    def _loss(self, key: str) -> LossEvent | None:
        provider, _, account = key.partition(" ")[0].partition("/")
        loss = next((one for one in list(self.losses_of(Target(provider, account))) if loss_key(one) == key), None)
        if loss is None:
            return None
        return LossEvent(
            provider=loss.provider,
            account=loss.account,
            partition=loss.partition,
            first_offset=loss.first_offset,
            end_offset=loss.end_offset,
            records=loss.records,
            at=loss.reported_at,
        )
