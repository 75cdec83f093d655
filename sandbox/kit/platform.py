"""What the stand-ins share: a call as they get it, and how they answer it."""

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from sandbox.kit.faults import OF_VALUES, Counters, Fault
from sandbox.kit.options import SandboxOptions
from sandbox.kit.rate_limits import Windows
from sandbox.kit.store import Audience, Member, Store

HASH = re.compile(r"[0-9a-f]{64}")

Row = TypeVar("Row")


@dataclass(slots=True)
class Surroundings:
    """What a stand-in lives in."""

    options: SandboxOptions
    counters: Counters
    store: Store = field(default_factory=Store)
    windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        self.windows = Windows(self.options.clock)

    def now(self) -> float:
        """Return the sandbox's time."""
        return self.options.clock()

    def checks_in_bulk(self, call: "Call") -> bool:
        """Tell whether a call's rows may be checked all at once: a fault may be about some of them."""
        return self.options.in_bulk and call.fault is None and not call.standing

    def take(self, audience: Audience, members: Collection[Member], *, rows: int) -> None:
        """Add the members that so many rows are to an audience, and count the rows."""
        before = len(audience.members)
        audience.members.update(members)
        self.counters.rows += rows
        self.counters.repeated_rows += rows - (len(audience.members) - before)

    def listed_until(self) -> float:
        """Return the time up to which audiences must be made to show in look-ups."""
        return self.now() - self.options.listing_lag


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, its body read. `form` has the fields of a form, empty if the body is none."""

    request: web.Request
    body: bytes
    form: Mapping[str, str]
    fault: Fault | None = None
    standing: Sequence[Fault] = ()
    """Faults of rows that hold beside `fault`."""

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the query."""
        return self.request.query

    @property
    def path(self) -> Mapping[str, str]:
        """The variable parts of the path."""
        return self.request.match_info

    @property
    def is_partial(self) -> bool:
        """Whether the call's first row is to be refused."""
        return self.fault is not None and self.fault.fault == "partial"

    def dislikes(self, value: object) -> bool:
        """Tell whether an upload with this value in a row is to be refused whole."""
        return bool(self._of_value("dislikes", value))

    def leaves_out(self, value: object) -> bool:
        """Tell whether a row with this value is not to be taken."""
        return bool(self._of_value("leaves_out", value))

    def names(self, *values: object) -> bool:
        """Tell whether a row with these values, if it is not wanted, is to be named."""
        return all(fault.names for value in values for kind in OF_VALUES for fault in self._of_value(kind, value))

    def is_too_much(self, rows: Sized) -> bool:
        """Tell whether so many rows are too much for one call."""
        return self.fault is not None and self.fault.fault == "too_much" and len(rows) > (self.fault.rows or 1)

    def _of_value(self, kind: str, value: object) -> list[Fault]:
        met = (*self.standing, *([self.fault] if self.fault else ()))
        return [fault for fault in met if fault.fault == kind and isinstance(value, str) and value in fault.values]

    def half_of(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows that are taken where the fault is `half`, else all of them."""
        is_half = self.fault is not None and self.fault.fault == "half"
        return rows[: (len(rows) + 1) // 2] if is_half else rows


def _never(call: Call) -> bool:
    del call
    return False


@dataclass(frozen=True, slots=True)
class Route:
    """One call of a platform's API and the operation that it counts as, unless the call itself says that it removes."""

    method: str
    path: str
    operation: str
    handler: Callable[[Call], web.Response]
    is_removal: Callable[[Call], bool] = _never

    def operation_of(self, call: Call) -> str:
        """Return the operation of a call."""
        return "remove" if self.is_removal(call) else self.operation


class StandIn(Protocol):
    """A platform as the sandbox plays it. Handlers act at once: nothing is half done when a client leaves."""

    def routes(self) -> Sequence[Route]:
        """Return the calls that are played; the last one takes any path that no other has."""

    def refusal(self, fault: Fault) -> web.Response:
        """Return one of control.REFUSALS in the platform's words."""

    def dress(self, call: Call, answer: web.Response) -> None:
        """Add the headers that every answer has."""

    def settle(self) -> None:
        """Do what has fallen due by the clock."""

    def forget(self, account: str | None) -> None:
        """Drop what is held besides audiences, of one account or of all."""


class Refusal(Exception):  # noqa: N818 -- an answer of the platform, not an error of ours
    """The platform refuses a call, with this answer."""

    def __init__(self, answer: web.Response) -> None:
        super().__init__("refused")
        self.answer = answer


class LimitReached(Refusal):
    """A rate limit refuses the call."""


def json_answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> web.Response:
    """Return an answer in JSON."""
    return web.Response(body=msgspec.json.encode(body), status=status, headers=dict(headers or {}), content_type=kind)


def decode(data: bytes) -> Any:
    """Return JSON, None if it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def whole(value: object) -> int | None:
    """Return a whole number, be it given as such or as its text; None if it is none."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,20}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def trace() -> str:
    """Return a made-up id of a request."""
    return secrets.token_hex(11)
