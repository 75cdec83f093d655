"""Faults on demand, and counters: what happens around every call to a stand-in."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

PROVIDERS = ("facebook", "tiktok", "klaviyo")
OPERATIONS = ("find", "create", "upload", "job", "lookup", "remove")
REFUSALS = ("throttled", "auth", "terms", "server_error", "not_found", "invalid", "blocked")
OF_VALUES = ("dislikes", "leaves_out")
"""Faults about rows with certain values."""

FAULTS = (*REFUSALS, "html", "partial", "half", *OF_VALUES, "too_much", "stall", "slow", "drop", "drop_after", "custom")

OF_ROWS = ("partial", "half", *OF_VALUES, "too_much", "blocked")
"""Faults of calls that hold users: uploads and removals."""

HOLDING_ROWS = ("upload", "remove")
OF_PLATFORMS = {
    "blocked": ("facebook",),
    "leaves_out": ("facebook", "klaviyo"),
    "too_much": ("facebook", "klaviyo"),
}
"""Faults that only some platforms have words for."""

WITHOUT_ROWS = ("partial", *OF_VALUES, "too_much")
"""Faults that are about single rows, which Klaviyo's removal has none of: it has ids."""

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class Fault(
    msgspec.Struct,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"until_cleared": "untilCleared"},
):
    """A fault for the next `calls` calls of a provider (one by default), or `"until": "cleared"`.

    throttled, auth, terms, server_error, not_found, invalid: refused in the platform's own words.
    html: what a gateway says. partial: the first row of an upload is refused. half: the first half of an upload's
    rows is taken, a single row whole; then TikTok says that some were taken, of the others the connection ends.
    dislikes: an upload that holds a row with one of `values`, as they are sent, is refused whole, as the platform does
    for what is wrong with a row; Klaviyo names these rows, unless `names` is false.
    leaves_out: an upload is taken but for the rows with one of `values`; Meta counts these as invalid entries, Klaviyo
    as failed. Both show which, unless `names` is false.
    Until they are cleared, these two are what a platform is like: they hold beside whatever else a call meets.
    too_much: an upload of more than `rows` rows (one) is refused as too much for one call.
    blocked: Meta has flagged the audience (operation status 471) and refuses what would change its members.
    What is said of uploads holds for removals, too, of Klaviyo's only `half`, as those hold ids.
    stall: no answer for `seconds` (an hour), then the call is handled. slow: handled at once, answered after
    `seconds` (one). drop: the connection ends, nothing is done. drop_after: all is done, then the connection ends.
    custom: `status` (500), `headers` and `body` as given.

    Of a throttle `seconds` (one) is the wait that the platform names; TikTok names none, but from 300 on
    its words are those of the limit by the minute, from 3,600 on of that by the day. `status` sets the HTTP status
    of Meta's throttle, for which 400 and 429 both occur.
    """

    provider: str
    fault: str
    calls: Annotated[int, msgspec.Meta(ge=0)] | None = None
    until: Literal["cleared"] | None = None
    until_cleared: bool = False
    operation: str | None = None
    seconds: Seconds | None = None
    status: Annotated[int, msgspec.Meta(ge=200, le=599)] | None = None
    headers: dict[str, str] = {}
    body: str | dict[str, Any] | list[Any] = ""
    values: frozenset[str] = frozenset()
    names: bool = True
    rows: Annotated[int, msgspec.Meta(ge=1)] | None = None

    def __post_init__(self) -> None:
        _check_choice("provider", self.provider, PROVIDERS)
        _check_choice("fault", self.fault, FAULTS)
        if self.operation is not None:
            _check_choice("operation", self.operation, OPERATIONS)
        if self.provider not in OF_PLATFORMS.get(self.fault, PROVIDERS):
            raise ValueError(f"fault: only {', '.join(OF_PLATFORMS[self.fault])} can be {self.fault}")
        if self.operation is not None and not self.is_for(self.provider, self.operation):
            raise ValueError(f"operation: only an upload or a removal with rows can be {self.fault}")
        if self.values and self.fault not in OF_VALUES:
            raise ValueError("values: only of a fault that dislikes them or leaves them out")
        if self.rows is not None and self.fault != "too_much":
            raise ValueError("rows: only of a fault that finds more of them too much")
        if any(set(name + value) & set("\r\n\0") for name, value in self.headers.items()):
            raise ValueError("headers: expected text of one line")
        self._check_calls()

    def _check_calls(self) -> None:
        if self.until_cleared:
            self.until = "cleared"
        if self.until is not None and self.calls:
            raise ValueError('calls: leave it out where "until" is "cleared"')
        if self.until is None:
            self.calls = 1 if self.calls is None else self.calls
            if self.calls == 0:
                raise ValueError('calls: expected 1 or more, or "until": "cleared"')

    @property
    def is_standing(self) -> bool:
        """Whether it is about rows with certain values, and stays: it holds beside others."""
        return self.fault in OF_VALUES and self.until is not None

    def is_for(self, provider: str, operation: str) -> bool:
        """Tell whether a call of this operation meets the fault."""
        if self.fault in OF_ROWS and operation not in HOLDING_ROWS:
            return False
        if (provider, operation) == ("klaviyo", "remove") and self.fault in WITHOUT_ROWS:
            return False
        return self.provider == provider and self.operation in (None, operation)


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(allowed)}")


@dataclass(slots=True)
class Counters:
    """Calls of one provider."""

    calls: int = 0
    in_flight: int = 0
    highest_in_flight: int = 0
    refused_by_limits: int = 0
    """Calls that a rate limit refused; throttles that were asked for by a fault are none."""
    by_operation: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    """Rows that were taken, and below those of them that their audience held already."""
    repeated_rows: int = 0

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count a call, and as in flight while the block is entered."""
        self.calls += 1
        self.in_flight += 1
        self.highest_in_flight = max(self.highest_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def reset(self) -> None:
        """Begin again; calls under way stay counted as such."""
        self.calls = self.rows = self.repeated_rows = 0
        self.highest_in_flight = self.in_flight
        self.refused_by_limits = 0
        self.by_operation.clear()

    def as_json(self) -> dict[str, Any]:
        """Return the counters as JSON has them."""
        return {
            "calls": self.calls,
            "inFlight": self.in_flight,
            "highestInFlight": self.highest_in_flight,
            "refusedByLimits": self.refused_by_limits,
            "byOperation": {operation: self.by_operation[operation] for operation in (*OPERATIONS, "other")},
            "rows": self.rows,
            "repeatedRows": self.repeated_rows,
        }


class Control:
    """Counters of every provider and the faults that wait for calls."""

    def __init__(self) -> None:
        self.counters: Mapping[str, Counters] = {provider: Counters() for provider in PROVIDERS}
        self.faults: list[Fault] = []
        self._cleared = asyncio.Event()

    def take(self, provider: str, operation: str) -> Fault | None:
        """Return the first fault for this call, if any but those that stand, and use one call of it up."""
        met = (fault for fault in self.faults if fault.is_for(provider, operation) and not fault.is_standing)
        fault = next(met, None)
        if fault is not None and fault.calls is not None and fault.until is None:
            fault.calls -= 1
            if fault.calls == 0:
                self.faults.remove(fault)
        return fault

    def standing(self, provider: str, operation: str) -> list[Fault]:
        """Return the faults of rows that hold in this call whatever else it meets."""
        return [fault for fault in self.faults if fault.is_standing and fault.is_for(provider, operation)]

    def end(self, provider: str, fault: str | None) -> None:
        """End the faults of one provider, all or those of a kind, that wait for calls."""
        self.faults = [kept for kept in self.faults if kept.provider != provider or fault not in (None, kept.fault)]

    def clear(self, but: Collection[str] = ()) -> None:
        """End all faults but some kinds, and let the calls go on that one holds up."""
        self.faults = [fault for fault in self.faults if fault.fault in but]
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def hold(self, seconds: float) -> None:
        """Wait, until faults are cleared at the latest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._cleared.wait()
