"""Whether numbers are read and judged as the library does it: of all regions and kinds, as dialled and nearly so."""

import random
from collections.abc import Iterator, Sequence
from functools import cache

import phonenumbers
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from checks.equality.general import forget, general_way
from checks.equality.mutations import SIGNS, mutated
from checks.equality.verdict import Verdict
from providers.kit.phones.numbering_plans import is_valid_phone, ordinary_numbers, without_trunk
from providers.kit.rows import normalisers
from schemas.records import AudienceUser
from schemas.repairs.users import repair

BATCH = 5_000
PUNCTUATION = "0123456789" * 3 + " ()-./+"
PREFIXES = ("0", "00", "1", "011", "010", "8", "06", "01", "+", "00 1 ", "(0)", "+0")
Case = tuple[str, str | None, str | None]


def compare(seed: int, cases: int) -> Verdict:
    """Read, judge and repair made-up numbers both ways."""
    chance, verdict = random.Random(seed), Verdict()  # noqa: S311 -- the same each time is what is wanted
    while verdict.cases < cases:
        batch = [make_case(chance) for _ in range(min(BATCH, cases - verdict.cases))]
        forget()
        fast = [_read(case) for case in batch]
        with general_way():
            general = [_read(case) for case in batch]
        verdict.cases += len(batch)
        verdict.fast += sum(_is_fast(case) for case in batch)
        pairs = zip(batch, fast, general, strict=True)
        verdict.differences += [f"{case!r}: {now}, not {before}" for case, now, before in pairs if now != before]
    return verdict


def make_case(chance: random.Random) -> Case:
    """Return a number, the country of its user, and the one that an account has for all; either may be another."""
    region = chance.choice(regions())
    text = mutated(chance, _number(chance, region), SIGNS if chance.random() < 0.1 else PUNCTUATION)
    if chance.random() < 0.1:
        text = chance.choice(PREFIXES) + text
    own = region if chance.random() < 0.8 else chance.choice(regions())
    country = own.lower() if chance.random() < 0.8 else None
    return text, country, own if chance.random() < 0.3 else None


def _number(chance: random.Random, region: str) -> str:
    if chance.random() < 0.05:
        return "".join(chance.choices("0123456789", k=chance.randrange(3, 17)))
    text = chance.choice(examples(region))
    if chance.random() < 0.3:  # another number of its kind, most likely
        text = text[:-3] + "".join(
            letter if not letter.isdecimal() else chance.choice("0123456789") for letter in text[-3:]
        )
    return text.replace(" ", ".").replace("-", ".") if chance.random() < 0.1 else text


@cache
def regions() -> Sequence[str]:
    """Return all regions that the library knows."""
    return sorted(phonenumbers.SUPPORTED_REGIONS)


@cache
def examples(region: str) -> Sequence[str]:
    """Return an example of each kind of numbers that a region has, in each form."""
    return list(dict.fromkeys(_each_example(region)))


def _each_example(region: str) -> Iterator[str]:
    kinds = (*PhoneNumberType.values(), None)
    examples = (phonenumbers.example_number_for_type(region, kind) for kind in kinds if kind is not None)
    for number in filter(None, (*examples, phonenumbers.invalid_example_number(region))):
        for form in (PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164):
            text = phonenumbers.format_number(number, form)
            yield from (text, text.lstrip("+"))


def _read(case: Case) -> object:
    """Return all that is made of a number."""
    text, *regions = case
    number = normalisers.phone(text, *regions)
    digits = "+" + "".join(letter for letter in text if letter in "0123456789")
    user = repair(AudienceUser(phone=text))
    again = None if user.user.phone is None else normalisers.phone(user.user.phone, *regions)
    usual = ordinary_numbers([text])[0]
    return (
        number,
        again,
        user.repaired,
        user.dropped,
        number and is_valid_phone(number),
        is_valid_phone(digits),
        not usual or usual == text.encode() == without_trunk(text).encode(),
    )


def _is_fast(case: Case) -> bool:
    text, *regions = case
    region = next(filter(None, regions), None)
    plain_phone = normalisers._plain_phone  # noqa: SLF001 -- `general.py` switches it off, and so must know it, too
    return bool(ordinary_numbers([text])[0] or (region and plain_phone(text, region)))
