"""What a session of 500 batches of 20 parts at three accounts costs to be asked for, beside asking record by record."""

import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from ledger.queries import Queries
from ledger.resources import RunStatus
from ledger.session_runs import SeenBatch, runs_of
from ledger.status import batch_status, run_status, target_status
from ledger.view import SessionKey, View
from schemas.records import BatchCompletion, BatchReceipt, Counts, Origin, RejectedUser
from schemas.target import Target

BATCHES, PARTS, USERS = 500, 20, 1_000
REJECTED = 10
"""Users of each record that each account rejects."""

TARGETS = (Target("facebook"), Target("tiktok"), Target("klaviyo"))
KEY = SessionKey("41", "VIP", "custom")
START = datetime(2030, 1, 31, tzinfo=UTC)
WINDOW = timedelta(minutes=10)
CHUNK = 1_000
"""Receipts or completions that are folded at once."""

ROUNDS = 7


def measure_sessions() -> None:
    """Ask for the session, whole and in short, for its rejected users, and what a batch is that resumes it, in turn."""
    with _view() as view:
        queries = Queries(view=view, targets=TARGETS, state_of=lambda _: None, now=lambda: START, window=WINDOW)
        whole, apart = _session(queries), _record_by_record(queries)
        if msgspec.json.encode(whole) != msgspec.json.encode(apart):
            raise RuntimeError("the two ways tell different things")
        ways = {
            "status": lambda: _session(queries),
            "in short": lambda: queries.summaries([KEY]),
            "record by record": lambda: _record_by_record(queries),
            "a page of rejected": lambda: queries.session_rejected(KEY.session_id, None, CHUNK),
            "a resumed batch": lambda: queries.judge(KEY, _resumed(), []),
        }
        _print(ways, len(msgspec.json.encode(whole)))


def _print(ways: Mapping[str, Callable[[], object]], size: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, ask in ways.items():
            begun = time.thread_time()
            ask()
            seconds[name].append(time.thread_time() - begun)
    middle = {name: statistics.median(some) for name, some in seconds.items()}
    base = middle["record by record"]
    print(  # noqa: T201 -- the output
        f"sessions, {BATCHES} batches of {PARTS} parts at {len(TARGETS)} accounts, {size:,} bytes of status; processor "
        "time, each beside status with a query for each record and account (lower is better)"
    )
    for name, took in middle.items():
        print(f"  {name:20}{1000 * took:8,.0f} ms   x{took / base:.2f}")  # noqa: T201 -- the output


def _session(queries: Queries) -> RunStatus:
    found = queries.session(KEY.session_id)
    if found is None or found.runs[0].missing or len(found.runs) != 1:
        raise RuntimeError("the session is not read as whole")
    return found.runs[0]


def _record_by_record(queries: Queries) -> RunStatus:
    """Return the same with a query for the ends of each record for each account, as it was once read."""
    (run,), view = runs_of(queries.view.session_batches(KEY), WINDOW), queries.view
    statuses = {
        batch.batch_id: batch_status(
            view.records_of(batch.batch_id),
            TARGETS,
            lambda target, records: target_status(
                target, records, [end for one in records for end in view.ends_of([one.origin])], queries.state_of
            ),
        )
        for batch in run.batches
    }
    return run_status(run, KEY, statuses)


def _resumed() -> SeenBatch:
    return SeenBatch(
        batch_id=str(uuid.UUID(int=BATCHES)),
        sequence=1,
        total_batches=BATCHES,
        total_users=BATCHES * PARTS * USERS,
        users=PARTS * USERS,
        parts=PARTS,
        parts_seen=PARTS,
        content_hash=bytes(32),
        disable_prefix=False,
        channels=None,
        at=START + timedelta(days=1),
        is_resumed=True,
    )


@contextmanager
def _view() -> Iterator[View]:
    """Yield a view of the session."""
    with tempfile.TemporaryDirectory() as folder:
        view = View(Path(folder) / "view.sqlite", "bench", "batches")
        view.open()
        for start in range(0, BATCHES * PARTS, CHUNK):
            records = [_LogRecord(number) for number in range(start, start + CHUNK)]
            view.fold_receipts([(record.receipt, record.origin) for record in records], {}, "receipts")
            ends = [(record.completion(target), record.origin) for record in records for target in TARGETS]
            view.fold_completions(ends, {}, "completions")
        yield view
        view.close()


@dataclass(frozen=True, slots=True)
class _LogRecord:
    """A record of the log by its number, and what is said of it."""

    number: int

    @property
    def origin(self) -> Origin:
        return Origin(topic="batches", partition=3, offset=self.number)

    @property
    def receipt(self) -> BatchReceipt:
        batch, part = divmod(self.number, PARTS)
        return BatchReceipt(
            batch_id=str(uuid.UUID(int=batch)),
            part=part + 1,
            parts=PARTS,
            session_id=KEY.session_id,
            sequence=batch + 1,
            total_batches=BATCHES,
            total_users=BATCHES * PARTS * USERS,
            name=KEY.name,
            type=KEY.type,
            disable_prefix=False,
            users=USERS,
            content_hash=bytes(32),
            source="http",
            origin=self.origin,
            timestamp=START + timedelta(milliseconds=self.number),
            verdict="valid",
        )

    def completion(self, target: Target) -> BatchCompletion:
        batch, part = divmod(self.number, PARTS)
        return BatchCompletion(
            batch_id=str(uuid.UUID(int=batch)),
            part=part + 1,
            parts=PARTS,
            origin=self.origin,
            provider=target.provider,
            status="partial",
            counts=Counts(received=USERS, accepted=USERS - REJECTED, rejected=REJECTED),
            rejected_reasons={"email: not_an_email": REJECTED},
            rejected_users=[
                RejectedUser(index=index, field="email", reason="not_an_email") for index in range(REJECTED)
            ],
            repaired={"phone: extension": self.number % 7 + 1},
            attempts=1,
            started_at=START,
            finished_at=START + timedelta(seconds=9),
        )
