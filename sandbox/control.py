"""Faults on demand, and counters: what happens around every call to a stand-in."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

PROVIDERS = ("facebook", "tiktok", "klaviyo")
FAULTS = (
    "throttled",
    "auth",
    "terms",
    "server_error",
    "html",
    "not_found",
    "invalid",
    "partial",
    "stall",
    "slow",
    "drop",
    "drop_after",
    "custom",
)
OPERATIONS = ("find", "create", "upload", "job")


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename={"until_cleared": "untilCleared"}):
    """A fault for the next `calls` calls of a provider, or `untilCleared`.

    throttled, auth, terms, server_error, html, not_found, invalid: refused in the platform's own words.
    partial: some rows are refused. stall: no answer for `seconds`. slow: the true answer after `seconds`.
    drop: the connection ends, nothing is done. drop_after: all is done, then the connection ends.
    custom: `status`, `headers` and `body` as given.
    """

    provider: str
    fault: str
    calls: int = 1
    until_cleared: bool = False
    operation: str | None = None
    seconds: float | None = None
    status: int = 500
    headers: dict[str, str] = {}
    body: str = ""

    def __post_init__(self) -> None:
        choices = (("provider", PROVIDERS), ("fault", FAULTS), ("operation", (None, *OPERATIONS)))
        for name, allowed in choices:
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(filter(None, allowed))}")


@dataclass(slots=True)
class Counters:
    """Calls of one provider."""

    calls: int = 0
    in_flight: int = 0
    highest_in_flight: int = 0
    by_operation: Counter[str] = field(default_factory=Counter)

    def reset(self) -> None:
        """Begin again; calls under way stay counted as such."""
        self.calls = 0
        self.highest_in_flight = self.in_flight
        self.by_operation.clear()

    def as_json(self) -> dict[str, Any]:
        """Return the counters as JSON has them."""
        return {
            "calls": self.calls,
            "inFlight": self.in_flight,
            "highestInFlight": self.highest_in_flight,
            "byOperation": dict(self.by_operation),
        }


class Control:
    """Counters of every provider and the faults that wait for calls."""

    def __init__(self) -> None:
        self.counters: Mapping[str, Counters] = {provider: Counters() for provider in PROVIDERS}
        self.faults: list[Fault] = []
        self._cleared = asyncio.Event()

    def take(self, provider: str, operation: str) -> Fault | None:
        """Return the fault for this call, if any, and use it up."""
        for fault in self.faults:
            if fault.provider == provider and fault.operation in (None, operation):
                fault.calls -= 1
                if fault.calls <= 0 and not fault.until_cleared:
                    self.faults.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        """End all faults and let stalled calls go on."""
        self.faults.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def stall(self, seconds: float) -> None:
        """Wait, until faults are cleared at the latest."""
        try:
            await asyncio.wait_for(self._cleared.wait(), seconds)
        except TimeoutError:
            return


def drop(request: web.Request) -> None:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
