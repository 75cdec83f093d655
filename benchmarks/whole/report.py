"""Runs as lines: what a user costs by process, what bounds the whole, and whether all arrived."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from benchmarks.whole.run import EACH, Load, Measured

FLAT = 0.10
"""Share by which a user may cost more or less, whatever the number of users."""

MEGABYTE = 1_000_000
LONGEST = 0.005
"""Seconds for which a callback may hold an event loop."""

Runs = Mapping[str, Sequence[Measured]]
"""By tree, `now` first; those of one place were run as a pair."""


def report(load: Load, runs: Runs) -> Iterator[str]:
    """Yield the lines about runs of one load."""
    kind, pairs = "untidy" if load.is_untidy else "clean", len(runs["now"])
    yield f"whole, {load.users:,} {kind} users to three platforms in uploads of {EACH:,}, median of {pairs} run(s)"
    yield from _costs(runs)
    yield from _peaks(runs)
    for label, measured in runs.items():
        yield f"  {label}: {_rate(measured)}; bound by {_bounds(measured)}"
        yield f"  {label}: the sink counted {_rows(measured)}"
    yield from _held(runs["now"])


def _costs(runs: Runs) -> Iterator[str]:
    yield _row("  us of CPU a user", [*runs, "share", "before/now"] if len(runs) > 1 else [*runs, "share"])
    now = runs["now"]
    for name in now[0].ours:
        yield _cost(name, runs, partial(Measured.micros, name=name))
    yield _cost("all of ours", runs, Measured.total)
    for name in now[0].others:
        yield _row(f"    besides: {name}", [f"{_median(name, measured):.2f}" for measured in runs.values()])


def _cost(name: str, runs: Runs, of: Callable[[Measured], float]) -> str:
    share = statistics.median(of(measured) / measured.total() for measured in runs["now"])
    cells = [f"{statistics.median(map(of, measured)):.2f}" for measured in runs.values()]
    return _row(f"    {name}", [*cells, f"{share:.0%}", *_ratio(runs, of)])


def _ratio(runs: Runs, of: Callable[[Measured], float]) -> list[str]:
    """Return how many times less `now` takes than `before`, pair by pair, with the spread of several pairs."""
    if "before" not in runs:
        return []
    ratios = [of(before) / max(of(now), 1e-9) for now, before in zip(runs["now"], runs["before"], strict=True)]
    return [f"   x{statistics.median(ratios):.2f}{_spread(ratios)}"]


def _spread(values: Sequence[float]) -> str:
    return f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""


def _median(name: str, measured: Sequence[Measured]) -> float:
    return statistics.median(one.micros(name) for one in measured)


def _peaks(runs: Runs) -> Iterator[str]:
    yield _row("  peak memory, MB", [*runs])
    for name in runs["now"][0].peaks:
        most = [max(one.peaks[name] for one in measured) / MEGABYTE for measured in runs.values()]
        yield _row(f"    {name}", [f"{peak:.0f}" for peak in most])


def _rate(measured: Sequence[Measured]) -> str:
    rates = [one.users / one.took for one in measured]
    spread = f" ({min(rates):,.0f} to {max(rates):,.0f})" if len(rates) > 1 else ""
    return f"{statistics.median(rates):,.0f} users/s{spread}"


def _bounds(measured: Sequence[Measured]) -> str:
    """Return what bounds the whole, each with the share of the time in which it did."""
    samples = sum((one.bounds for one in measured), Counter[str]())
    told = [f"{what} {count / samples.total():.0%}" for what, count in samples.most_common()]
    return ", ".join(told) or "nothing that lasted long enough to be seen"


def _rows(measured: Sequence[Measured]) -> str:
    """Return the rows at each platform, of the first run in which they are not as many as users."""
    shown = next((one for one in measured if not one.is_right), measured[0])
    told = ", ".join(f"{provider} {count:,}" for provider, count in shown.rows.items())
    unknown = f", and {shown.unknown:,} calls that no platform has" if shown.unknown else ""
    return f"{told} rows of {shown.users:,} users each{unknown}"


def _held(measured: Sequence[Measured]) -> Iterator[str]:
    """Yield how long callbacks held each event loop, where that was noted."""
    lines = {name: [line for one in measured for line in one.held.get(name, ())] for name in measured[0].held}
    if any(lines.values()):
        over = f"over {LONGEST * 1000:.0f} ms"
        yield f"  event loops: the callback of most processor time, its garbage collection, and how many took {over}"
    for name, noted in lines.items():
        if noted:
            yield _longest(name, [line.split(" ", 4) for line in noted])


def _longest(name: str, noted: Sequence[Sequence[str]]) -> str:
    """Return the callback that took the most of its own, as the clock also has what others took of the machine."""
    _, clock, processor, collected, what = max(noted, key=lambda one: float(one[2]))
    many = sum(float(one[2]) > LONGEST for one in noted)
    told = ", ".join(
        f"{1000 * float(seconds):.1f} ms {of}"
        for seconds, of in ((processor, "of processor"), (collected, "of collecting"), (clock, "by the clock"))
    )
    return f"    {name:20} {told} in {what}; {many:,}"


def flatness(runs: Mapping[int, Sequence[Measured]]) -> str:
    """Return whether a user costs the same however many there are, as a line."""
    costs = {users: statistics.median(one.total() for one in measured) for users, measured in runs.items()}
    middle = (min(costs.values()) + max(costs.values())) / 2
    off = (max(costs.values()) - middle) / middle
    told = ", ".join(f"{cost:.1f} us at {users:,}" for users, cost in costs.items())
    return f"  CPU a user {told}: within {off:.1%} of their middle, {'flat' if off <= FLAT else 'NOT flat'}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:26}" + "".join(f"{cell:>12}" for cell in cells)
