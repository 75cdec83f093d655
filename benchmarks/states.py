"""What sessions in a state cost to be listed among 100,000, beside looking at the newest 1,000 for them."""

import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ledger.queries import MOST_SCANNED, Filters, Queries
from ledger.states.folding import StateFolder, StateRules
from ledger.view import View
from schemas.records import AccountState, BatchCompletion, BatchReceipt, Counts, Origin, Status
from schemas.target import Target

SESSIONS, USERS, PAGE = 100_000, 10, 20
EACH_FAILED, EACH_OPEN = 5_000, 5_003
"""One of so many sessions failed at an account, and another one waits for the last, which is blocked."""

RULES = StateRules(targets=(Target("facebook"), Target("tiktok"), Target("klaviyo")))
START = datetime(2030, 1, 31, tzinfo=UTC)
CHUNK = 1_000
"""Receipts or completions that are folded at once."""

ROUNDS = 7
LOOKED_AT = f"look at {MOST_SCANNED:,} sessions"


def measure_states() -> None:
    """List sessions in a state, and look at as many as a page was looked for among, in turn."""
    with _view() as (view, per_state):
        queries = Queries(view=view, targets=RULES.targets, state_of=_state_of, now=lambda: START, window=RULES.window)
        ways: Mapping[str, Callable[[], int]] = {
            "failed": lambda: len(queries.sessions(Filters(state="failed"), None, PAGE).sessions),
            "blocked": lambda: len(queries.sessions(Filters(state="blocked"), None, PAGE).sessions),
            "of any state": lambda: len(queries.sessions(Filters(), None, PAGE).sessions),
            LOOKED_AT: lambda: len(queries.sessions(Filters(), None, MOST_SCANNED).sessions),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for name, ask in [*ways.items()] * ROUNDS:
            begun = time.perf_counter()
            found = ask()
            seconds[name].append(time.perf_counter() - begun)
            if found != (MOST_SCANNED if name == LOOKED_AT else PAGE):
                raise RuntimeError(f"{found} sessions are listed: {name}")
    _print({name: statistics.median(some) for name, some in seconds.items()}, per_state)


def _print(seconds: Mapping[str, float], per_state: float) -> None:
    base = seconds[LOOKED_AT]
    print(  # noqa: T201 -- the output
        f"states, the newest {PAGE} sessions among {SESSIONS:,} at {len(RULES.targets)} accounts, beside looking at "
        f"the newest {MOST_SCANNED:,}, which find none of {SESSIONS // EACH_FAILED} that failed (lower is better)"
    )
    for name, took in seconds.items():
        print(f"  {name:24}{1000 * took:8.1f} ms   x{took / base:.3f}")  # noqa: T201 -- the output
    print(f"  folding a state{1_000_000 * per_state:12.0f} us a session")  # noqa: T201 -- the output


def _state_of(target: Target) -> AccountState | None:
    if target != RULES.targets[-1]:
        return None
    return AccountState(provider=target.provider, account=target.account, state="blocked", changed_at=START)


@contextmanager
def _view() -> Iterator[tuple[View, float]]:
    """Yield a view in which all is folded, and how long that took for the state of a session."""
    with tempfile.TemporaryDirectory() as folder:
        view = View(Path(folder) / "view.sqlite", "bench", "batches")
        view.open()
        for start in range(0, SESSIONS, CHUNK):
            numbers = range(start, start + CHUNK)
            view.fold_receipts([(_receipt(number), _origin(number)) for number in numbers], {}, "receipts")
            ends = [(one, one.origin) for number in numbers for one in _completions(number)]
            view.fold_completions(ends, {}, "completions")
        begun = time.perf_counter()
        StateFolder(view=view, rules=RULES).fold_all()
        yield view, (time.perf_counter() - begun) / SESSIONS
        view.close()


def _origin(number: int) -> Origin:
    return Origin(topic="batches", partition=3, offset=number)


def _receipt(number: int) -> BatchReceipt:
    return BatchReceipt(
        batch_id=str(uuid.UUID(int=number)),
        part=1,
        parts=1,
        session_id=str(number),
        sequence=1,
        total_batches=1,
        total_users=USERS,
        name=f"VIP {number % 12}",
        type="custom",
        disable_prefix=False,
        users=USERS,
        content_hash=bytes(32),
        source="http",
        origin=_origin(number),
        timestamp=START + timedelta(seconds=number),
        verdict="valid",
    )


def _completions(number: int) -> Iterator[BatchCompletion]:
    for target in RULES.targets:
        is_last = target == RULES.targets[-1]
        if number % EACH_OPEN == 1 and is_last:
            continue
        status: Status = "failed" if number % EACH_FAILED == 0 and is_last else "delivered"
        yield BatchCompletion(
            batch_id=str(uuid.UUID(int=number)),
            part=1,
            parts=1,
            origin=_origin(number),
            provider=target.provider,
            account=target.account,
            status=status,
            counts=Counts(received=USERS, accepted=0 if status == "failed" else USERS),
            attempts=1,
            started_at=START,
            finished_at=START + timedelta(seconds=9),
        )
