"""The numbering plans of the installed phonenumbers, compiled: whether a number can be anybody's.

The library answers that, too, but builds objects and looks each pattern up anew. Here its metadata is compiled once for
each country, in pieces (`compiled`), when the first number of the country comes.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    SUPPORTED_REGIONS,
    PhoneMetadata,
    country_code_for_region,
    region_code_for_country_code,
)
from phonenumbers.phonemetadata import PhoneNumberDesc

_Matches = Callable[[str], re.Match[str] | None]

_Region = tuple[str, str]
"""A country code, and one of its regions."""

_NUMBERS = (
    *("mobile", "fixed_line", "toll_free", "premium_rate", "shared_cost", "voip", "personal_number", "pager", "uan"),
    "voicemail",
)
"""All kinds of numbers that are somebody's, the frequent ones first."""

COUNTRY_CODES = frozenset(map(str, COUNTRY_CODE_TO_REGION_CODE))
E164_LENGTHS = range(8, 17)
"""Characters of `+` and 7 to 15 digits."""


class _Kind(NamedTuple):
    """One kind of numbers: how many digits they have, and the pattern of them all."""

    lengths: frozenset[int]
    pattern: str


class _Piece:
    """A pattern that is compiled when it is first needed."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    @cached_property
    def matches(self) -> Callable[[str, int], re.Match[str] | None]:
        """Tell whether a text matches as a whole, from a position on."""
        return re.compile(self._pattern).fullmatch


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The numbering plan of a region. `kinds` and `lengths` are of numbers without what is dialled before them.

    Patterns are compiled when they are first needed, as a country code can have two dozen regions.
    """

    code: str
    is_main: bool
    """Whether the library takes this region's plan for numbers with the country code."""

    general: _Kind
    kinds: Sequence[_Kind]
    exit_code: str
    prefix: str
    """What is dialled before a number within the country."""

    leading: str
    """First digits by which the library tells the region's numbers from others with the country code; empty: none."""

    has_transform: bool
    """Whether the last group of `prefix` says that the number is to be written otherwise."""

    local_lengths: frozenset[int]

    @cached_property
    def pieces(self) -> Sequence[_Piece]:
        """Patterns of numbers of all kinds, without their country code; those that take long to compile are apart."""
        parts = [part for part in (self.kinds[:1], self.kinds[1:2], self.kinds[2:]) if part]
        return [_Piece(_number_pattern(self, part)) for part in parts]

    def is_number(self, digits: str, start: int = 0) -> bool:
        """Tell whether what begins there is a number of any kind, behind its country code."""
        for piece in self.pieces:  # noqa: SIM110 -- half the time of any()
            if piece.matches(digits, start):
                return True
        return False

    @cached_property
    def plain_start(self) -> Callable[[bytes], re.Match[bytes] | None]:
        """Find what stands before a number as it is mostly dialled, which may be nothing."""
        return re.compile(_plain_pattern(self).encode()).match

    @cached_property
    def plain_lengths(self) -> frozenset[int]:
        """How many digits numbers have that are mostly dialled so: no more than E.164, and more than local ones."""
        e164 = range(E164_LENGTHS.start - 1 - len(self.code), E164_LENGTHS.stop - 1 - len(self.code))
        return self.general.lengths.intersection(e164) - self.local_lengths

    @cached_property
    def is_viable(self) -> _Matches:
        """Tell roughly whether digits are a number of the region."""
        return re.compile(self.general.pattern).fullmatch

    @cached_property
    def find_leading(self) -> _Matches | None:
        """Find what numbers of the region begin with."""
        return re.compile(self.leading).match if self.leading else None

    def is_abroad(self, digits: str) -> bool:
        """Tell whether digits begin with what is dialled before a country code."""
        return self.exit_code != "" and re.match(self.exit_code, digits) is not None

    def is_too_long(self, national: str) -> bool:
        """Tell whether digits are more than any number of the region has."""
        return len(national) > max(self.general.lengths) and len(national) not in self.local_lengths

    def without_prefix(self, number: str) -> str | None:
        """Return a number without what is dialled before it; None where it would have to be written otherwise."""
        found = re.match(self.prefix, number) if self.prefix else None
        if found is None:
            return number
        if self.has_transform and found[found.re.groups] is not None:
            return None
        rest = number[found.end() :]
        return number if self.is_viable(number) and not self.is_viable(rest) else rest


def is_anybodys(number: str) -> bool:
    """Tell whether `+` and digits can be somebody's number, as `is_valid_number` does, all digits taken as given.

    A region that has leading digits has all numbers that begin with them. A number is of any other region by the
    patterns of that region's numbers.
    """
    start, first, regions = _regions_behind(number[1:4])
    if first is not None and first(number, start):
        return True
    significant = number[start:]
    for region in regions:
        plan = _plan(*region)
        if plan.find_leading is None:
            if plan.is_number(significant):
                return True
        elif plan.find_leading(significant):
            return plan.is_number(significant)
    return False


@lru_cache(maxsize=4096)
def _regions_behind(digits: str) -> tuple[int, Callable[[str, int], bool] | None, Sequence[_Region]]:
    """Return where a number with these first digits begins behind its country code, and the regions that it may be of.

    Three digits hold the country code, as no code begins with another. Where the numbers of the first region are known
    by their own pattern, the function that matches them is returned apart from the other regions.
    """
    code = code_before(digits)
    regions = _regions(code)
    first = _plan(*regions[0]) if regions else None
    if first is None or first.find_leading:
        return 1 + len(code), None, regions
    return 1 + len(code), first.is_number, regions[1:]


def code_before(digits: str) -> str:
    """Return the country code that digits begin with, empty where there is none; none begins with another."""
    return next((digits[:end] for end in (1, 2, 3) if digits[:end] in COUNTRY_CODES), "")


def is_of_region(number: str, region: str) -> bool:
    """Tell whether `+` and digits are a number by a region's own plan: what `is_valid_number_for_region` says."""
    plan = plan_of_region(region)
    start = 0 if plan is None else 1 + len(plan.code)
    return plan is not None and number[1:start] == plan.code and plan.is_number(number, start)


def _regions(code: str) -> Sequence[_Region]:
    return [(code, region) for region in COUNTRY_CODE_TO_REGION_CODE.get(int(code or 0), ())]


def compiled(code: str) -> Iterator[None]:
    """Load and compile all that numbers with a country code need, yielding after each piece for other tasks to run.

    The longest piece takes some milliseconds; all of +1, with two dozen regions, some thirty.
    """
    for region in _regions(code):
        plan = _plan(*region)
        yield
        _ = plan.find_leading, plan.is_viable, plan.plain_start
        yield
        for piece in plan.pieces:
            _ = piece.matches
            yield


def _plain_pattern(plan: Plan) -> str:
    """Return the pattern of what stands before a number as it is mostly dialled, by the rules of `national`.

    1. No exit code, no country code. 2. The prefix, if it is there, as `match` finds it: hence atomic. 3. None of those
    with which the number is written otherwise.
    """
    exit_code = f"(?!{plan.exit_code})" if plan.exit_code else ""
    prefix = f"(?>(?:{plan.prefix})?)" if plan.prefix else ""
    last = re.compile(exit_code + prefix).groups
    transformed = f"(?({last})(?!)|)" if plan.has_transform and last else ""
    return f"(?!00){exit_code}(?!{plan.code}){prefix}{transformed}"


def _number_pattern(plan: Plan, kinds: Iterable[_Kind]) -> str:
    """Return the pattern of numbers of some kinds behind their country code, in lengths that the plan has."""
    of_lengths: dict[frozenset[int], list[str]] = {}
    for kind in kinds:
        of_lengths.setdefault(kind.lengths & plan.general.lengths, []).append(f"(?:{kind.pattern})")
    any_kind = "|".join(f"{_of_lengths(some)}(?:{'|'.join(patterns)})" for some, patterns in of_lengths.items() if some)
    return rf"(?=(?:{plan.general.pattern})\Z)(?!0*\Z)(?:{any_kind or '(?!)'})"


def _of_lengths(lengths: Collection[int]) -> str:
    return rf"(?=(?:{'|'.join(f'[0-9]{{{one}}}' for one in sorted(lengths))})\Z)"


@cache
def plan_of_region(region: str) -> Plan | None:
    """Return the plan of a region, an alpha-2 code in capitals; None where there is none."""
    if region not in SUPPORTED_REGIONS:
        return None
    return _plan(str(country_code_for_region(region)), region)


@cache
def _plan(country_code: str, region: str) -> Plan:
    """Return the plan of a region. Leading digits count only where a country code has several regions."""
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(int(country_code), region)
    if metadata is None:
        raise LookupError(region)
    code, general = int(country_code), metadata.general_desc
    is_alone = len(COUNTRY_CODE_TO_REGION_CODE[code]) == 1
    return Plan(
        code=country_code,
        is_main=region_code_for_country_code(code) == region,
        general=next(_kinds([general])),
        kinds=tuple(dict.fromkeys(_kinds(_descriptions(metadata)))),
        exit_code=metadata.international_prefix or "",
        prefix=metadata.national_prefix_for_parsing or "",
        leading="" if is_alone else metadata.leading_digits or "",
        has_transform=bool(metadata.national_prefix_transform_rule),
        local_lengths=frozenset(general.possible_length_local_only if general else ()),
    )


def _descriptions(metadata: PhoneMetadata) -> Iterator[PhoneNumberDesc | None]:
    """Yield the library's descriptions of numbers, one only where mobiles and landlines have the same pattern."""
    for name in _NUMBERS:
        if name != "mobile" or not metadata.same_mobile_and_fixed_line_pattern:
            yield getattr(metadata, name)


def _kinds(descriptions: Iterable[PhoneNumberDesc | None]) -> Iterator[_Kind]:
    for one in descriptions:
        if one is not None and one.national_number_pattern:
            yield _Kind(frozenset(one.possible_length or range(20)), one.national_number_pattern)
