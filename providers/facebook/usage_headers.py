"""Meta's headers that say how much of a limit is used, and the pause that follows from that."""

from collections.abc import Iterator, Mapping

import msgspec

from providers.kit.rate_limiter import Pause

USAGE_HEADERS = ("X-Business-Use-Case-Usage", "X-App-Usage", "X-Ad-Account-Usage")
PERCENTAGES = frozenset({"call_count", "total_cputime", "total_time", "acc_id_util_pct"})
EASE_FROM = 80.0
"""Percent of a limit from which on calls are spread: none at 80, then more and more, up to MAX_EASE at 100."""
MAX_EASE = 30.0


def pause_by_usage(headers: Mapping[str, str]) -> Pause | None:
    """Return how long to leave the account alone: the wait that Meta names, else the longer the more is used."""
    used = max(used_percent(headers), default=0.0)
    if used < EASE_FROM:
        return None
    share = min(1.0, (used - EASE_FROM) / (100 - EASE_FROM))
    return Pause(regain_seconds(headers) or MAX_EASE * share, is_account_wide=True)


def regain_seconds(headers: Mapping[str, str]) -> float | None:
    """Return the wait that Meta asks for; its header says minutes, for each business and kind of use."""
    minutes = [value for name, value in _usage(headers) if name == "estimated_time_to_regain_access"]
    return max(minutes, default=0.0) * 60 or None


def used_percent(headers: Mapping[str, str]) -> list[float]:
    """Return how much of each limit is used, in percent."""
    return [value for name, value in _usage(headers) if name in PERCENTAGES]


def _usage(headers: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yield the numbers in Meta's usage headers by their names."""
    for header in USAGE_HEADERS:
        try:
            usage = msgspec.json.decode(headers.get(header, "{}"))
        except msgspec.DecodeError:
            continue
        yield from _numbers(usage)


def _numbers(usage: object) -> Iterator[tuple[str, float]]:
    if isinstance(usage, dict):
        yield from ((name, float(value)) for name, value in usage.items() if isinstance(value, int | float))
    if isinstance(usage, dict | list):
        for inner in usage.values() if isinstance(usage, dict) else usage:
            yield from _numbers(inner)
