"""What numbering plans say of a phone number: its country, trunk digits to leave out, whether it can be anybody's."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import groupby

import phonenumbers

from providers.kit.phones.compiled_plans import COUNTRY_CODES, code_before, is_anybodys, is_of_region
from schemas.countries import alpha_2
from schemas.repairs.ordinary_values import found_in_lines, in_lines

_TRUNKS: Mapping[str, str] = {
    "1": "01",
    "52": "01",
    **dict.fromkeys(("7", "370", "371", "372", "375", "992", "993", "998"), "08"),
}
"""First digits of what is or was dialled before a number within its country only; elsewhere it is a 0.

Beside today's plans, which the library has: the 1 of Mexican mobiles, until 2019, and the Soviet 8.
"""

_FORMER: Mapping[str, tuple[str, ...]] = {"52": ("1", "01", "044", "045")}
"""What was dialled in Mexico until 2019 before mobile and long-distance numbers (IFT, new dialling plan)."""

_ARGENTINA, _ARGENTINE = "54", 10
"""Argentina's 15 of mobiles stands behind the area code: a number with more digits than this has one, or a 9."""


def parse_region(value: object) -> object:
    """Parse the country that phone numbers without a country code are of, into an ISO code in capitals; `UK` is GB.

    Raises ValueError for what is no country with a numbering plan, which would make every such number unreadable.
    """
    if not isinstance(value, str):
        return value
    region = (alpha_2(value) or "").upper()
    if region not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("expected a country, such as DE, GB or US")
    return region


def is_country_code(digits: str) -> bool:
    """Tell whether digits are a country code."""
    return digits in COUNTRY_CODES


def country_code(number: str) -> str:
    """Return the country code of `+` and digits, empty where there is none."""
    return code_before(number[1:4])


def has_possible_length(number: str) -> bool:
    """Tell whether `+` and digits are as many as numbers of their country have; it costs next to nothing."""
    code = country_code(number)
    return bool(code) and len(number) - 1 - len(code) in _lengths(code)


@cache
def _lengths(code: str) -> frozenset[int]:
    region = phonenumbers.region_code_for_country_code(int(code))
    metadata = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(int(code), region)
    return frozenset(metadata.general_desc.possible_length if metadata and metadata.general_desc else ())


def has_trunk_zero(region: str) -> bool:
    """Tell whether numbers of a region, in capitals, are written with a 0 that goes behind the country code."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    return metadata is not None and metadata.national_prefix == "0"


def is_mobile(number: str) -> bool:
    """Tell whether `+` and digits are a mobile number, or may be one."""
    kind = phonenumbers.number_type(phonenumbers.parse(number))
    return kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE)


def without_trunk(number: str) -> str:
    """Return a number without the digits that are dialled within its country only, as the 0 in `+44 020 …`.

    They go only where the number is nobody's with them and somebody's without them, or at least of a possible length.
    """
    code = country_code(number)
    national = number[1 + len(code) :]
    is_argentine = code == _ARGENTINA and len(national) > _ARGENTINE
    if not code or not (national[:1] in _TRUNKS.get(code, "0") or is_argentine):
        return number
    return _mended(number, code, national)


def ordinary_numbers(texts: Sequence[str]) -> Sequence[bytes]:
    """Return each number in E.164 that `without_trunk` leaves as it is; empty bytes for any other text."""
    return found_in_lines(_ordinary().findall, in_lines(texts), texts)


@cache
def _ordinary() -> re.Pattern[bytes]:
    """Return the pattern of one line: a country code, and no digit behind it that may be a trunk digit."""
    trunk_of = {code: _TRUNKS.get(code, "0") for code in sorted(COUNTRY_CODES - {_ARGENTINA})}
    kinds = [
        rf"{_any_of([code for code, of in trunk_of.items() if of == trunks])}(?![{trunks}])"
        for trunks in sorted(set(trunk_of.values()))
    ]
    kinds.append(rf"{_ARGENTINA}(?!0|[0-9]{{{_ARGENTINE + 1}}})")
    line = rf"(\+(?=[0-9]{{7,15}}\n)(?:{'|'.join(kinds)})[0-9]++)\n|[^\n]*+\n"
    return re.compile(line.encode())


def _any_of(codes: Collection[str]) -> str:
    """Return a pattern of sorted codes that looks at each digit once."""
    if "" in codes:
        return ""
    return f"(?:{'|'.join(first + _any_of([code[1:] for code in of]) for first, of in groupby(codes, lambda c: c[0]))})"


@lru_cache(maxsize=4096)
def _mended(number: str, code: str, national: str) -> str:
    if is_valid_phone(number):
        return number
    found = list(_readings(number, code, national))
    somebodys = (reading for reading in found if is_valid_phone(reading))
    possible = (reading for reading in found if not _is_possible(number) and _is_possible(reading))
    return next(somebodys, None) or next(possible, number)


def _readings(number: str, code: str, national: str) -> Iterator[str]:
    """Yield the number as the library reads it, and without a 0, or what is no longer dialled where it is too long."""
    try:
        read = phonenumbers.format_number(phonenumbers.parse(number), phonenumbers.PhoneNumberFormat.E164)
    except phonenumbers.NumberParseException:
        return
    if read != number:
        yield read
    trunks = "0" if _is_possible(number) else _FORMER.get(code) or _TRUNKS.get(code, "0")
    yield from (f"+{code}{national.removeprefix(trunk)}" for trunk in trunks if national.startswith(trunk))


def _is_possible(number: str) -> bool:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    kept = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) == number
    return kept and phonenumbers.is_possible_number(parsed)


def is_valid_phone(number: str) -> bool:
    """Tell whether a number, `+` and digits, can be somebody's by the numbering plans.

    Nothing is read into it: a 0 that is dialled only within the country makes it invalid.
    """
    return is_anybodys(number)


def is_valid_in(number: str, region: str) -> bool:
    """Tell whether a number, `+` and digits, can be somebody's by a region's plan or any other's."""
    return is_of_region(number, region) or is_anybodys(number)
