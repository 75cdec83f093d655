"""What is asked of files: each figure with its bound, and whether it is met."""

from collections.abc import Sequence
from dataclasses import dataclass

FASTER_THAN_A_LOOP = 2.0
"""How many times as fast as a loop of `csv.DictReader` and `json.dumps` both passes are at least."""

GROWTH = 1.10
"""How much more memory ten times the rows may take at most."""

MEMORY = 250.0
"""MiB that any size of CSV, JSON Lines and Parquet may take."""

SLOWER_THAN_INGESTION = 1.05
"""How many times as long as an ingestion process takes the command may be; five pairs tell no smaller difference."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One of them, as it is printed."""

    what: str
    is_met: bool


def speed_of_reading(kind: str, ratio: float) -> Demand:
    """Ask that both passes are as fast as that beside the loop."""
    told = f"{kind}: x{ratio:.2f} of the loop's rows/s, at least x{FASTER_THAN_A_LOOP:.2f}"
    return Demand(told, ratio >= FASTER_THAN_A_LOOP)


def memory(what: str, peak: float, larger: float) -> Sequence[Demand]:
    """Ask that memory does not grow with rows, and how much it is at most; both peaks are in MiB."""
    most = max(peak, larger)
    return (
        Demand(
            f"{what}: x{larger / peak:.2f} of the memory at ten times the rows, at most x{GROWTH:.2f}",
            larger <= GROWTH * peak,
        ),
        Demand(f"{what}: {most:.0f} MiB, at most {MEMORY:.0f}", most <= MEMORY),
    )


def speed_of_command(ratio: float) -> Demand:
    """Ask that the command is not slower than one ingestion process takes what it sends."""
    told = (
        f"command: x{ratio:.2f} of the time in which ingestion takes ready JSON, at most x{SLOWER_THAN_INGESTION:.2f}"
    )
    return Demand(told, ratio <= SLOWER_THAN_INGESTION)


def print_all(demands: Sequence[Demand]) -> bool:
    """Print each demand, and return whether all are met."""
    for demand in demands:
        print(f"  {'met' if demand.is_met else 'MISSED':7} {demand.what}")  # noqa: T201 -- the output
    return all(demand.is_met for demand in demands)
