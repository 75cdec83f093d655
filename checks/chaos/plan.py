"""What goes wrong when: drawn from a seed, decided before anything runs."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PROVIDERS = ("facebook", "tiktok", "klaviyo")

PROCESS_FAULTS = (
    "kill ingestion",
    "kill ledger",
    "kill consumer",
    "kill broker",
    "pause ingestion",
    "pause ledger",
    "pause consumer",
    "pause broker",
    "add consumer",
    "remove consumer",
)
PLATFORM_FAULTS = ("server_error", "throttled", "html", "drop", "drop_after", "stall", "auth", "half", "too_much")
"""As the sandbox names them. Each comes at every provider that has it, where a process's fault comes at one."""

OF_SOME: Mapping[str, Sequence[str]] = {"too_much": ("facebook", "klaviyo")}
"""Providers of faults that not all have."""

ROUND = 25.0
"""Seconds in which every kind of fault comes at least once."""

LONG_PAUSES = 0.3
"""Share of pauses that are longer than the ten seconds after which a group gives up a silent member."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong, `at` so many seconds from the beginning.

    `seconds` is how long a process is down or paused, and for how long a platform has the fault, where so many `calls`
    do not end it before, or asks to wait. `choice`, from 0 to 1, chooses among the processes that there are by then.
    """

    at: float
    kind: str
    provider: str
    seconds: float
    calls: int
    choice: float


def make_plan(chance: random.Random, seconds: float) -> list[Fault]:
    """Return the faults of so many seconds in their order; in each round every kind comes."""
    rounds = max(1, round(seconds / ROUND))
    length = seconds / rounds
    faults: list[Fault] = []
    for number in range(rounds):
        dealt = [(kind, chance.choice(PROVIDERS)) for kind in PROCESS_FAULTS]
        dealt += [(kind, provider) for kind in PLATFORM_FAULTS for provider in OF_SOME.get(kind, PROVIDERS)]
        faults += [_drawn(chance, *what, chance.uniform(number, number + 1) * length) for what in dealt]
    return sorted(faults, key=lambda fault: fault.at)


def _drawn(chance: random.Random, kind: str, provider: str, at: float) -> Fault:
    return Fault(
        at=at,
        kind=kind,
        provider=provider,
        seconds=_seconds(chance, kind),
        calls=1 if kind == "half" else chance.randint(1, 8),
        choice=chance.random(),
    )


def _seconds(chance: random.Random, kind: str) -> float:
    if kind.startswith("pause"):
        return chance.uniform(11, 14) if chance.random() < LONG_PAUSES else chance.uniform(1, 6)
    if kind.startswith("kill"):
        return chance.uniform(0.2, 3)
    return chance.uniform(2, 7) if kind == "auth" else chance.uniform(1, 3)
