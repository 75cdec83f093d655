"""Rows, rejections and counts of 20,000 made-up people stay what they are, whatever makes them."""

import json
from collections import Counter
from itertools import product

import pytest
from people import make_people
from row_digests import FILE, PEOPLE, SETTINGS, cases, chunks, digests, provider_of

from providers.kit.rows.users_to_rows import make_rows
from schemas.error_words import VOCABULARY

EXPECTED = json.loads(FILE.read_text())

OF_OTHERS = {"bug", "not_isolated", "partly_taken", "refused_by_platform", "request_refused", "too_large"}
OF_OTHERS |= {"too_much_data", "unisolated"}
"""Reasons that are no provider's rules."""


@pytest.mark.parametrize("provider", SETTINGS)
def test_rows_rejections_and_counts_are_those_of_before(provider: str) -> None:
    """What differs is told by its case and chunk; the docstring of `row_digests` says how to see it."""
    found, expected = digests(provider), EXPECTED[provider]
    assert list(found) == list(expected)
    differ = [
        f"{case} {chunk}"
        for case, of_case in found.items()
        for chunk, (now, before) in enumerate(zip(of_case, expected[case], strict=True))
        if now != before
    ]
    assert differ == []


def test_the_people_are_the_same_each_time() -> None:
    assert list(make_people(500)) == [user for _, user in chunks()[0][:500]]


def test_the_people_meet_every_repair_and_every_reason() -> None:
    counted: Counter[str] = Counter()
    for provider, users in product(SETTINGS, chunks()[:4]):
        for case in (case for case in cases(provider) if case.with_attributes):
            *_, made = make_rows(provider_of(case), users)
            counted.update(reason for _, rejection in made.rejected for reason in [rejection.reason])
            counted.update(kind.rpartition(": ")[2] for kind in (*made.repaired, *made.dropped))
    reasons = {word for word, of in VOCABULARY.items() if of.scope == "row"} - OF_OTHERS
    assert reasons <= counted.keys()
    assert counted.keys() - reasons >= {"decimals", "exponent", "thousands", "leading_zero", "extension", "label",
                                        "apostrophe", "quotes", "formula", "invisible", "width", "wrapped",
                                        "punctuation", "spaces"}  # fmt: skip
    assert sum(map(len, chunks())) == PEOPLE
