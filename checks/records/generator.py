"""The records of a seed, by their numbers."""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from checks.records.envelopes import enveloped
from checks.records.registered import registered
from checks.records.values import ADDITION, REMOVAL, Made, made_of, mutated, one_extreme, right_fields, some_extremes

REGULARS = "Regulars"
"""An audience that good records alone name, or others might do so as one of another type."""

MAKERS: Sequence[Callable[[random.Random, int], Made]] = (
    *(one_extreme, some_extremes, mutated, enveloped),
    *(one_extreme, some_extremes, mutated, registered),
)


def make_record(seed: int, number: int) -> Made:
    """Return the record with a number of a seed: some right, some with extremes, some broken, some oddly wrapped."""
    chance = random.Random(f"{seed}-{number}")  # noqa: S311 -- made-up users
    times, place = divmod(number, len(MAKERS))
    maker = MAKERS[place]
    before, all_of_it = MAKERS[:place].count(maker), MAKERS.count(maker)
    return maker(chance, times * all_of_it + before)


def make_good(seed: int, number: int) -> Made:
    """Return an addition or, by an odd number, a removal of the same person, that every platform can do."""
    ids, person = (random.Random(f"{seed}-good-{text}") for text in (number, f"person-{number // 2}"))  # noqa: S311 -- made up
    fields = {**right_fields(ids), "name": REGULARS, "users": right_fields(person)["users"]}
    return replace(made_of("good", REMOVAL if number % 2 else ADDITION, fields), kind="good")
