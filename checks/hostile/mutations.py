"""The requests of a run, drawn from its seed: right ones and spoilt ones."""

import random
from collections.abc import Sequence

from checks.clients import Capture
from checks.hostile.draft import Draft, built, joined, make_parts, recorded
from checks.hostile.forms import PARTS_MUTATIONS
from checks.hostile.heads import MUTATIONS
from checks.hostile.texts import Chance

RIGHT = 0.1
"""Share of requests that nothing is done to."""
RECORDED = 0.5
"""Share of those that real clients were recorded with; the others are made up."""
MOST_MUTATIONS = 3


def make_request(seed: int, number: int, captures: Sequence[Capture]) -> Draft:
    """Return a request of a run: always the same for a seed and a number."""
    chance = random.Random(f"{seed}:{number}")  # noqa: S311 -- to be repeated by its seed
    times = 0 if chance.random() < RIGHT else chance.randint(1, MOST_MUTATIONS)
    is_recorded = chance.random() < RECORDED
    draft = recorded(chance.choice(captures)) if is_recorded else _built(chance, times)
    for mutation in chance.choices(MUTATIONS, k=times if is_recorded else chance.randint(0, times)):
        mutation(draft, chance)
        draft.kinds.append(mutation.__name__.strip("_"))
    return draft


def _built(chance: Chance, times: int) -> Draft:
    parts = make_parts(chance)
    mutations = chance.choices(PARTS_MUTATIONS, k=times)
    for mutation in mutations:
        mutation(parts, chance)
    draft = built(joined(parts))
    draft.kinds += [mutation.__name__.strip("_") for mutation in mutations]
    return draft
