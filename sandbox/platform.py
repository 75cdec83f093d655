"""What the stand-ins share: their surroundings, how a call is told, and an error as the platform words it."""

import hashlib
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from sandbox.control import Control, Fault
from sandbox.store import Store

HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How the sandbox behaves. Times are seconds."""

    limits: bool = True
    """Enforce the platforms' rate limits."""
    latency: float = 0.02
    """What every call takes at least."""
    listing_lag: float = 0.0
    """How long a new audience is missing from look-ups."""
    job_seconds: float = 0.2
    """How long a Klaviyo import takes."""
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class Surroundings:
    """What a stand-in lives in."""

    options: SandboxOptions
    control: Control
    store: Store = field(default_factory=Store)
    windows: dict[str, deque[float]] = field(default_factory=dict)

    def exceeds(self, key: str, calls: int, seconds: float) -> float | None:
        """Count a call; return the seconds to wait if that is more than `calls` in `seconds`."""
        if not self.options.limits:
            return None
        now = self.options.clock()
        window = self.windows.setdefault(f"{key}/{calls}/{seconds}", deque())
        while window and window[0] <= now - seconds:
            window.popleft()
        if len(window) >= calls:
            return window[0] + seconds - now
        window.append(now)
        return None


Handler = Callable[[web.Request, Fault | None], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One call of a platform's API and the operation that it counts as."""

    method: str
    path: str
    operation: str
    handler: Handler


class Refusal(Exception):  # noqa: N818 -- an answer of the platform, not an error of ours
    """The platform refuses a call, with this answer."""

    def __init__(self, body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__("refused")
        self.response = json_answer(body, status, headers)


def json_answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> web.Response:
    """Return an answer in JSON."""
    return web.Response(body=msgspec.json.encode(body), status=status, headers=dict(headers or {}), content_type=kind)


def html_answer() -> web.Response:
    """Return what a gateway in front of a platform says."""
    return web.Response(text="<html><body>Bad Gateway</body></html>", status=502, content_type="text/html")


def decode(data: bytes) -> Any:
    """Return JSON, None if it is none."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def trace() -> str:
    """Return a made-up id of a request."""
    return hashlib.sha256(str(time.perf_counter_ns()).encode()).hexdigest()[:22]
