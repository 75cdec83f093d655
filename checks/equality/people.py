"""Made-up people with values that are usual, or nearly so: names of all scripts, numbers of all regions."""

import hashlib
import random
from collections.abc import Callable, Sequence
from functools import cache

import iso3166

from checks.equality import phones
from checks.equality.mutations import mutated
from schemas.records import AudienceUser, Purchase

SCRIPTS = (
    *((0x41, 0x5B), (0x61, 0x7B), (0xC0, 0x180), (0x370, 0x400), (0x400, 0x530), (0x531, 0x557), (0x5D0, 0x5EB)),
    *((0x620, 0x64B), (0x900, 0x980), (0xE00, 0xE3B), (0x10A0, 0x1100), (0x1200, 0x1249), (0x1E00, 0x1F00)),
    *((0x3041, 0x3097), (0x30A0, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0x10400, 0x10450), (0x1F600, 0x1F640)),
)
"""Ranges of letters, of which a name takes one; the last is of no letters."""

NAMES = (
    "Ada",
    "O'Neil",
    "Anne-Marie",
    "van der Berg",
    "José",
    "Null",
    "none",
    "undefined",
    "D\u2019Arc",
    "Jr.",
    "美咲",
    "Zoe\u0301",
)
LOCALS = ("ada", "jane.doe", "jane.doe+news", "o'neil", "x", "a_b-c", "1", "jörg", "a" * 60, "..", "JANE")
HOSTS: Sequence[str] = (
    "example.com",
    "mail.example.org",
    "Gmail.com",
    "googlemail.com",
    "example.test",
    "a-b.example.com",
    "localhost",
)
ODD_HOSTS = (*HOSTS, "example.co.uk", "exa--mple.com", "docomo.ne.jp", "x.onion", "127.0.0.1", "example.c", "a.b-com")
CODES: Sequence[str] = (
    "94107",
    "94107-1234",
    "2110",
    "SW1A 1AA",
    "K1A 0A6",
    "1010",
    "00118",
    "D-10117",
    "100-0001",
    "01310-100",
)
ODD_CODES = (*CODES, "1012 AB", "4.5E+3", "94107.0", "00-001", "111 22", "〒100-0001", "12345678")
IDS = (
    "edge-1",
    "a:b.c_d",
    "0" * 36,
    "00000000-0000-0000-0000-000000000000",
    "null",
    "undefinedly",
    "x" * 64,
    "4.4E+11",
    "=1",
)
CURRENCIES = ("EUR", "usd", " EUR", "nan", "", "€", "null", "GBP", "\u212aRW", "e,r", "\ud800")
AMOUNTS = (0.0, -0.0, 0.1, 12.5, -5.0, 1e-9, 1e15, 1e16, 1e22, 123456789.123456789, 5e-324, float("nan"), float("inf"))
OF_NONE = ("", " ", "\t", "null", "N/A", "\u200b", '=""', "#VALUE!", "0", "-")


def make_person(chance: random.Random) -> AudienceUser:
    """Return somebody: every other one has usual values, of the others each may be anything, or nearly be usual."""
    return _usual_person(chance) if chance.random() < 0.5 else _odd_person(chance)


def _usual_person(chance: random.Random) -> AudienceUser:
    region = chance.choice(phones.regions())
    return AudienceUser(
        edge_tag_id=_perhaps(chance, lambda: f"edge-{chance.randrange(10**6)}"),
        email=_perhaps(chance, lambda: f"Person.{chance.randrange(10**6)}@{chance.choice(HOSTS[:3])}"),
        phone=_perhaps(chance, lambda: chance.choice(phones.examples(region))),
        first_name=_perhaps(chance, lambda: _name(chance)),
        last_name=_perhaps(chance, lambda: _name(chance)),
        country=_perhaps(chance, lambda: region),
        postal_code=_perhaps(chance, lambda: chance.choice(CODES[:7])),
        purchase=Purchase(currency="EUR", profit=_amount(chance)) if chance.random() < 0.5 else None,
    )


def _perhaps(chance: random.Random, make: Callable[[], str]) -> str | None:
    return make() if chance.random() < 0.9 else None


def _odd_person(chance: random.Random) -> AudienceUser:
    country = chance.choice(_countries()) if chance.random() < 0.9 else "Atlantis"
    return AudienceUser(
        edge_tag_id=_maybe(
            chance, lambda: f"edge-{chance.randrange(10**6)}" if chance.random() < 0.7 else chance.choice(IDS)
        ),
        email=_maybe(chance, lambda: _email(chance)),
        phone=_maybe(chance, lambda: phones.make_case(chance)[0]),
        first_name=_maybe(chance, lambda: _name(chance)),
        last_name=_maybe(chance, lambda: _name(chance)),
        country=_maybe(chance, lambda: country),
        postal_code=_maybe(chance, lambda: chance.choice(ODD_CODES)),
        purchase=_purchase(chance) if chance.random() < 0.5 else None,
    )


def _maybe(chance: random.Random, make: Callable[[], str]) -> str | None:
    kind = chance.random()
    if kind < 0.1:
        return None
    if kind < 0.12:
        return chance.choice(OF_NONE)
    if kind < 0.14:
        digest = hashlib.sha256(chance.choice((b"", b"null", b"jane@example.com"))).hexdigest()
        return chance.choice((digest, digest.upper(), f" {digest} ", digest[:32]))
    text = make()
    if kind < 0.3:
        text = chance.choice((text.upper(), text.lower(), f" {text}", f"{text} ", text.title()))
    return mutated(chance, text) if kind < 0.5 else text


def _email(chance: random.Random) -> str:
    local = f"person{chance.randrange(10**6)}" if chance.random() < 0.6 else chance.choice(LOCALS)
    return f"{local}@{chance.choice(HOSTS[:3] if chance.random() < 0.7 else ODD_HOSTS)}"


def _name(chance: random.Random) -> str:
    if chance.random() < 0.4:
        return chance.choice(NAMES)
    first, end = chance.choice(SCRIPTS)
    return "".join(chr(chance.randrange(first, end)) for _ in range(chance.randrange(1, 9)))


@cache
def _countries() -> Sequence[str]:
    return [form for one in iso3166.countries for form in (one.alpha2, one.alpha2, one.alpha3, one.name)]


def _purchase(chance: random.Random) -> Purchase:
    return Purchase(
        currency=chance.choice((None, *CURRENCIES)),
        profit=_amount(chance),
        total_7_days=_amount(chance),
    )


def _amount(chance: random.Random) -> float | None:
    kind = chance.random()
    return None if kind < 0.3 else chance.choice(AMOUNTS) if kind < 0.5 else chance.randrange(-1000, 10**6) / 8
