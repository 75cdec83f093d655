"""How the sandbox behaves."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How the sandbox behaves. Times are seconds."""

    limits: bool = True
    """Enforce the platforms' rate limits."""
    latency: float = 0.02
    """What every call to a platform takes at least, in true time."""
    listing_lag: float = 0.0
    """How long a new audience is missing from look-ups."""
    job_seconds: float = 0.2
    """How long a Klaviyo import takes: half of it queued, half of it processing."""
    clock: Callable[[], float] = time.monotonic
    """What limits, sessions, jobs and the listing lag go by."""
    in_bulk: bool = True
    """Check and store an upload's rows all at once where all are right; else each by itself, as is done where not."""
