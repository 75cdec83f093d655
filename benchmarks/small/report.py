"""Runs as lines, with their ratios to those of another tree and the goals of these."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.small.drained import Drained
from benchmarks.small.idle import UPLOADS, Waits
from benchmarks.small.load import AUDIENCES, PROVIDER, Load
from benchmarks.whole.report import MEGABYTE

FASTER = 5.0
"""Times as many records a second, without a pace."""

PACED_FASTER = 20.0
"""Times as many records a second, with the documented pace."""

SLOWER = 1.05
"""Times as long as an upload to an idle account may take."""


def report(load: Load, runs: Mapping[str, Sequence[Drained]]) -> Iterator[str]:
    """Yield the lines about runs of one load; those of one place were run as a pair."""
    pace = "its documented pace" if load.is_paced else "no pace"
    yield f"small, {load.records:,} records of one user each to {AUDIENCES} audiences, {PROVIDER} with {pace}"
    for label, drained in runs.items():
        for one in drained:
            yield f"  {label + ':':8}{_run(one)}"
    if "before" in runs:
        pairs = list(zip(runs["now"], runs["before"], strict=True))
        ratios = [now.rate / before.rate for now, before in pairs]
        goal = PACED_FASTER if load.is_paced else FASTER
        is_met = statistics.median(ratios) >= goal
        yield f"  records/s now to before {_spread(ratios)}; {_judged(f'x{goal:g} at least', is_met)}"
        yield f"  CPU a record before to now {_spread([before.cost / now.cost for now, before in pairs])}"


def _run(one: Drained) -> str:
    reckoned = "" if one.is_through else f", reckoned from {one.ended:,} in {one.took:.0f} s"
    faults = "" if one.is_right else f"; WRONG: {one.rows:,} rows, {one.unknown} unknown calls, {dict(one.failures)}"
    rows = one.rows / max(1, one.calls)
    return (
        f"{one.rate:,.0f} records/s, {one.seconds:.1f} s in all{reckoned}; {rows:.1f} rows a call; "
        f"the consumer {one.cost:.0f} us of CPU a record, {one.peak / MEGABYTE:.0f} MB at most{faults}"
    )


def report_idle(waits: Mapping[str, Waits]) -> Iterator[str]:
    """Yield the lines about uploads to an idle account."""
    yield f"small, sync uploads of one user to an idle account, {UPLOADS} of each tree in turn"
    for label, of_tree in waits.items():
        yield f"  {label + ':':8}{1000 * of_tree.median:.2f} ms, p95 {1000 * of_tree.p95:.2f} ms"
    if "before" in waits:
        ratio = waits["now"].median / waits["before"].median
        yield f"  now to before x{ratio:.3f}; {_judged(f'x{SLOWER} at most', ratio <= SLOWER)}"


def _spread(ratios: Sequence[float]) -> str:
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"x{statistics.median(ratios):.2f}{spread}"


def _judged(goal: str, is_met: bool) -> str:
    return f"the goal is {goal}: {'met' if is_met else 'NOT met'}"
