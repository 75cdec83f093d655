"""Whether rows that are made at once are those that are made one by one: each provider with each of its settings."""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

from checks.equality.general import forget, general_way
from checks.equality.people import make_person
from checks.equality.verdict import Verdict
from providers.installed import installed
from providers.kit.provider import AnyProvider
from providers.kit.rows.users_to_rows import Rows, bulk_function, make_rows
from schemas.records import AudienceUser

BATCH = 500
SETTINGS: Mapping[str, Mapping[str, Sequence[str | None]]] = {
    "facebook": {"value_from": (None, "profit", "total7Days"), "default_region": (None, "DE")},
    "klaviyo": {"default_region": (None, "US")},
    "tiktok": {"phone_plus": (None, "false"), "strip_aliases": (None, "true"), "default_region": (None, "BR")},
    "webhook": {"default_region": (None, "GB")},
}
"""Settings that change rows, and values of them; None leaves one out."""

Numbered = Sequence[tuple[int, AudienceUser]]


class Way(NamedTuple):
    """A provider with settings, and whether its rows are bare."""

    provider: AnyProvider
    with_attributes: bool

    def rows(self, users: Numbered) -> Rows:
        """Return all that is made of users."""
        *_, made = make_rows(self.provider, users, with_attributes=self.with_attributes)
        return made

    def at_once(self, users: Numbered) -> int:
        """Return how many rows are made at once."""
        made = bulk_function(self.provider, with_attributes=self.with_attributes)([user for _, user in users])
        return sum(row is not None for row in made)


def compare(seed: int, cases: int) -> Verdict:
    """Make rows of made-up people both ways: a case is a person's row of one provider with some settings."""
    chance, verdict = random.Random(seed), Verdict()  # noqa: S311 -- the same each time is what is wanted
    while verdict.cases < cases:
        for way in ways():
            if verdict.cases >= cases:
                break
            users = [(7 + 3 * place, make_person(chance)) for place in range(min(BATCH, cases - verdict.cases))]
            forget()
            fast = way.rows(users)
            verdict.fast += way.at_once(users)
            with general_way():
                general = way.rows(users)
            verdict.cases += len(users)
            if fast != general:
                verdict.differences += _differences(way, users)
    return verdict


def _differences(way: Way, users: Numbered) -> Iterator[str]:
    """Yield which users alone differ, with what is made of them."""
    for one in users:
        fast = way.rows([one])
        with general_way():
            general = way.rows([one])
        if fast != general:
            yield f"{type(way.provider).__name__} {way.provider.settings!r} {one[1]!r}: {fast}, not {general}"


@cache
def ways() -> Sequence[Way]:
    """Return each provider with each combination of its settings, with attributes and bare."""
    return [
        Way(provider, is_whole) for name in SETTINGS for provider in _with_settings(name) for is_whole in (True, False)
    ]


def _with_settings(name: str) -> Iterator[AnyProvider]:
    kind, choices = installed()[name], SETTINGS[name]
    fields = kind.settings_type.model_fields.items()
    examples = {field: info.examples[0] for field, info in fields if info.is_required() and info.examples}
    for values in product(*choices.values()):
        chosen = {key: value for key, value in zip(choices, values, strict=True) if value is not None}
        currency = {"value_currency": "EUR"} if "value_from" in chosen else {}
        settings = kind.settings_type.model_validate({**examples, **chosen, **currency})
        yield kind(settings, None)  # type: ignore[arg-type] # rows call nobody
