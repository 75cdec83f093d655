"""Digests of what every provider makes of made-up people, under each of its settings, with attributes and bare.

`python tests/row_digests.py --write` writes them anew, for a change of rows that is meant. To see a difference, run
`python tests/row_digests.py CASE CHUNK` here and at the commit before, and compare what they print.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import msgspec
from people import make_people
from world import sandbox_account

from providers.installed import installed
from providers.kit.provider import AnyProvider
from providers.kit.rows.users_to_rows import make_rows
from schemas.records import AudienceUser
from schemas.target import Target

FILE = Path(__file__).parent / "row_digests.json"
PEOPLE = 20_000
CHUNK = 1_000

SETTINGS: Mapping[str, Mapping[str, Sequence[str | None]]] = {
    "facebook": {"value_from": (None, "profit", "total7Days"), "default_region": (None, "DE")},
    "klaviyo": {"default_region": (None, "DE")},
    "tiktok": {"phone_plus": (None, "false"), "strip_aliases": (None, "true"), "default_region": (None, "DE")},
    "webhook": {"default_region": (None, "DE")},
}
"""Settings that change rows, and values of them; None leaves one out."""


@dataclass(frozen=True, slots=True)
class Case:
    """A provider with settings, and whether its rows are bare."""

    provider: str
    settings: tuple[tuple[str, str], ...]
    with_attributes: bool

    def __str__(self) -> str:
        """A name for the file and the command line."""
        changes = [f"{name}={value}" for name, value in self.settings]
        return ",".join([self.provider, *changes, *([] if self.with_attributes else ["bare"])])


def cases(provider: str) -> Iterator[Case]:
    """Yield a provider with each combination of its settings, with attributes and bare."""
    choices = SETTINGS[provider]
    for values in product(*choices.values()):
        chosen = tuple((key, value) for key, value in zip(choices, values, strict=True) if value is not None)
        currency = (("value_currency", "EUR"),) if any(key == "value_from" for key, _ in chosen) else ()
        yield from (Case(provider, (*chosen, *currency), with_attributes) for with_attributes in (True, False))


@cache
def chunks() -> Sequence[Sequence[tuple[int, AudienceUser]]]:
    """Return all people with their places, by a thousand."""
    people = list(enumerate(make_people(PEOPLE)))
    return [people[start : start + CHUNK] for start in range(0, PEOPLE, CHUNK)]


def provider_of(case: Case) -> AnyProvider:
    """Return a provider that calls nobody."""
    changes = dict(case.settings)
    if case.provider == "webhook":
        kind = installed()["webhook"]
        given = {"base_url": "https://hooks.example.com", "secret": "made-up", **changes}
        return kind(kind.settings_type.model_validate(given), None)  # type: ignore[arg-type] # rows call nobody
    account = sandbox_account(Target(case.provider), "http://127.0.0.1:9", **changes)
    return account.kind(account.settings, None)  # type: ignore[arg-type] # rows call nobody


def lines(case: Case, users: Sequence[tuple[int, AudienceUser]]) -> Iterator[bytes]:
    """Yield what is made of users, a line for each row, rejection and count."""
    provider = provider_of(case)
    *_, made = make_rows(provider, users, with_attributes=case.with_attributes)
    for index, row in zip(made.indexes, made.rows, strict=True):
        yield b"%d %s %s" % (index, row, ",".join(provider.identifiers(msgspec.json.decode(row))).encode())
    for index, rejection in made.rejected:
        yield f"{index} {rejection.field} {rejection.reason}".encode()
    for name, counts in (("repaired", made.repaired), ("dropped", made.dropped)):
        yield from (f"{name} {kind} {count}".encode() for kind, count in sorted(counts.items()))


def digests(provider: str) -> dict[str, list[str]]:
    """Return the digest of each chunk of people for each case of a provider."""
    found: dict[str, list[str]] = {str(case): [] for case in cases(provider)}
    for users in chunks():  # all cases of one chunk, then the next: what was remembered of its values serves all
        for case in cases(provider):
            found[str(case)].append(hashlib.sha256(b"\n".join(lines(case, users))).hexdigest()[:16])
    return found


def _main(arguments: Sequence[str]) -> None:
    if arguments == ["--write"]:
        found = {provider: digests(provider) for provider in SETTINGS}
        FILE.write_text(json.dumps(found, indent=1) + "\n")
        return
    name, chunk = arguments
    case = next(case for case in cases(name.partition(",")[0]) if str(case) == name)
    sys.stdout.buffer.writelines(line + b"\n" for line in lines(case, chunks()[int(chunk)]))


if __name__ == "__main__":
    _main(sys.argv[1:])
