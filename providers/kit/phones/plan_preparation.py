"""Compiles the numbering plans that users' numbers need before these are read, and lets other tasks run in between."""

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

import phonenumbers

from providers.kit.phones.compiled_plans import COUNTRY_CODES, code_before, compiled
from schemas.countries import alpha_2
from schemas.records import AudienceUser

_START = 8
"""Characters of a number that tell its country code, where it is written with one."""

_find_start = re.compile(r"[\s(]*(\+\s*0*|00)?\(?([0-9]*)").match
_ONE_PIECE = 6
"""Digits from which on the first piece of a number is no area code (`normalisers`)."""


def prepared(users: Sequence[AudienceUser], default_region: str | None) -> Iterator[None]:
    """Compile the plans that users' numbers may need, yielding after each piece; none where all are compiled.

    A plan that is needed all the same, as behind an exit code of its country, is compiled in one go when it is.
    """
    starts = {user.phone[:_START] for user in users if user.phone}
    if not starts:
        return
    countries = {user.country for user in users if user.country}
    wanted = {*map(_code_of_start, starts), *map(_code_of_country, countries), _code_of_country(default_region or "")}
    done = _compiled()
    for code in sorted(wanted - done):
        yield from compiled(code)
        done.add(code)


@cache
def _compiled() -> set[str]:
    """Return the country codes of which all is compiled in this process."""
    return set()


@lru_cache(maxsize=4096)
def _code_of_start(start: str) -> str:
    """Return the country code that a number may begin with, empty where it has none.

    Without a `+` it may have one as its first piece, or in the only one.
    """
    found = _find_start(start)
    piece = found[2] if found else ""
    is_abroad = found is not None and (found[1] or len(piece) >= _ONE_PIECE or piece in COUNTRY_CODES)
    return code_before(piece) if is_abroad else ""


@lru_cache(maxsize=4096)
def _code_of_country(country: str) -> str:
    code = alpha_2(country)
    return str(phonenumbers.country_code_for_region(code.upper()) or "") if code else ""
