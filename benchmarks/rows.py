"""What rows and phone numbers cost a core, beside the general ways that they went before, and beside Meta's own SDK."""

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache, partial

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from benchmarks.transform import USERS, make_users, metas, ours, providers
from checks.equality.general import forget, general_way
from providers.kit.rows import normalisers as normalise
from providers.kit.rows.users_to_rows import bulk_function
from schemas.records import AudienceUser, Purchase

PAIRS = 9
PEOPLE = 20_000
NUMBERS = 5_000

# Names and postal codes as lists of thirty countries have them; numbers are examples of the library.
COUNTRIES: Sequence[tuple[str, str, str, str]] = [
    ("US", "Ada", "Lovelace", "94107"), ("CA", "Grace", "Hopper", "K1A 0B1"), ("GB", "Alan", "Turing", "SW1A 1AA"),
    ("DE", "Jörg", "Müller", "10117"), ("FR", "Chloé", "Lefèvre", "75001"), ("IT", "Niccolò", "Rossi", "00118"),
    ("ES", "María", "García López", "28013"), ("PT", "João", "Gonçalves", "1000-001"), ("NL", "Anne", "Dam", "1012 AB"),
    ("BE", "Zoë", "Peeters", "1000"), ("AT", "Jürgen", "Weiß", "1010"), ("CH", "Urs", "Bär", "8001"),
    ("SE", "Åsa", "Öberg", "111 22"), ("NO", "Bjørn", "Næss", "0150"), ("DK", "Søren", "Kjær", "1050"),
    ("FI", "Väinö", "Mäkelä", "00100"), ("PL", "Łukasz", "Wiśniewski", "00-001"), ("CZ", "Jiří", "Dvořák", "110 00"),
    ("GR", "Γιώργος", "Παπαδόπουλος", "105 57"), ("TR", "İpek", "Özdemir", "34000"), ("RU", "Иван", "Иванов", "101000"),
    ("UA", "Олена", "Шевченко", "01001"), ("IL", "נועה", "כהן", "9100001"), ("IN", "अनिता", "शर्मा", "110001"),
    ("CN", "伟", "王", "100000"), ("JP", "美咲", "山田", "100-0001"), ("KR", "지우", "김", "03051"),
    ("BR", "Luís", "Conceição", "01310-100"), ("MX", "José", "Núñez", "06000"), ("AU", "Olivia", "O'Brien", "2000"),
]  # fmt: skip


def make_people(count: int) -> list[AudienceUser]:
    """Return made-up people of thirty countries.

    Some lack a number or a name, some have capitals and blanks; one in fifty has an address or a number to be repaired.
    """
    return [_person(number, *COUNTRIES[number % len(COUNTRIES)]) for number in range(count)]


def _person(number: int, country: str, first: str, last: str, postal_code: str) -> AudienceUser:
    email = f"Person.{number}@Example.com " if number % 7 == 0 else f"person{number}@example.com"
    phone = _phone(number, country) if number % 5 else None
    return AudienceUser(
        edge_tag_id=f"edge-{number}" if number % 3 else None,
        email=email if number % 100 else f"mailto:{email}",
        phone=f"Tel. {phone}" if phone and number % 100 == 1 else phone,
        first_name=first.upper() if number % 11 == 0 else first if number % 5 else None,
        last_name=last,
        country=country,
        postal_code=postal_code,
        purchase=Purchase(currency="EUR", profit=number / 4) if number % 2 else None,
    )


def _phone(number: int, country: str) -> str:
    """Return a number of its own as people of the country write it, every other one as from abroad."""
    text = list(_example(country, PhoneNumberFormat.NATIONAL if number % 2 else PhoneNumberFormat.E164))
    digits = [place for place, letter in enumerate(text) if letter.isdecimal()]
    for place, digit in zip(digits[-5:], f"{number % 100_000:05}", strict=True):
        text[place] = digit
    return "".join(text)


@cache
def _example(country: str, form: int) -> str:
    example = phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE)
    return phonenumbers.format_number(example, form) if example else ""


def measure_rows() -> None:
    """Compare each way with the general one, in turn, so that a change of the machine's speed meets both."""
    for kind in ("clean", "untidy"):
        users = make_users(is_clean=kind == "clean")
        print(f"rows, {len(users):,} {kind} users, against the general way")  # noqa: T201 -- the output
        for name, provider in providers().items():
            _compare(name, partial(ours, provider, users), len(users))
        _against_sdk(users)
    _measure_phones()
    _measure_people()


def _compare(name: str, way: Callable[[], object], count: int) -> None:
    now, before = _alternate(way, way)
    _show(name, now, before, count)


def _alternate(
    now: Callable[[], object], before: Callable[[], object], *, is_general: bool = True
) -> list[list[float]]:
    """Return the seconds of each way, run in turn; each reads numbers anew, by patterns that are compiled."""
    now()
    seconds: list[list[float]] = [[], []]
    for _ in range(PAIRS):
        for way, took, context in ((now, seconds[0], nullcontext()), (before, seconds[1], general_way())):
            with context if is_general else nullcontext():
                forget()
                began = time.process_time()
                way()
                took.append(time.process_time() - began)
    return seconds


def _show(name: str, now: Sequence[float], before: Sequence[float], count: int) -> None:
    ratios = sorted(one / other for one, other in zip(before, now, strict=True))
    each = [1e6 * statistics.median(took) / count for took in (now, before)]
    print(  # noqa: T201 -- the output
        f"  {name:24} {each[0]:6.2f} us, before {each[1]:6.2f} us: x{statistics.median(ratios):.2f} "
        f"(median of {PAIRS} pairs, x{ratios[0]:.2f} to x{ratios[-1]:.2f})"
    )


def _against_sdk(users: list[AudienceUser]) -> None:
    facebook = providers()["facebook"]
    now, sdk = _alternate(partial(ours, facebook, users), partial(metas, users), is_general=False)
    _show("facebook, Meta's SDK", now, sdk, USERS)


def _measure_phones() -> None:
    """Read American and German numbers in plain punctuation, and those of thirty countries."""
    print(f"phones, {NUMBERS:,} national numbers in plain punctuation, against the general way")  # noqa: T201 -- the output
    area_codes = ("415", "212", "650", "303")
    american = [(f"({code}) 555-{number:04}", "us") for code in area_codes for number in range(NUMBERS // 4)]
    german = [(f"0151 {number:04}-{number + 1000:04}", "de") for number in range(NUMBERS)]
    countries = [country for country, *_ in COUNTRIES]
    mixed = [(_phone(one, countries[one % 30]), countries[one % 30].lower()) for one in range(1, 2 * NUMBERS, 2)]
    for name, pairs in {"US": american, "DE": german, "30 countries": mixed}.items():
        _compare(name, partial(_read, pairs), len(pairs))


def _read(pairs: Sequence[tuple[str, str]]) -> None:
    for text, country in pairs:
        normalise.phone(text, country)


def _measure_people() -> None:
    people = make_people(PEOPLE)
    print(f"rows, {PEOPLE:,} people of {len(COUNTRIES)} countries, against the general way")  # noqa: T201 -- the output
    every = providers()
    for name, provider in every.items():
        made = bulk_function(provider, with_attributes=True)(people)
        share = 100 * sum(row is None for row in made) / len(people)
        _compare(f"{name}, {share:.1f} % slow", partial(ours, provider, people), len(people))
    _compare("all three", lambda: [ours(provider, people) for provider in every.values()], len(people))
