"""The general ways alone, as they were before there were fast ones: for comparisons and benchmarks only."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any
from unittest import mock

import phonenumbers

from providers.kit.phones import numbering_plans
from providers.kit.rows import normalisers, users_to_rows
from providers.kit.rows.bulk.row_maker import no_rows
from schemas.repairs import phones


@contextmanager
def general_way() -> Iterator[None]:
    """Make each row by itself, read and judge each number by the library, while the block is entered."""
    _is_anybodys.cache_clear()
    forget()
    with ExitStack() as stack:
        for module, name, general in _GENERAL:
            stack.enter_context(mock.patch.object(module, name, general))
        yield
    forget()


def forget() -> None:
    """Empty the caches of numbers, of which each way is to make its own."""
    normalisers.forget_phones()


def _none(*_: Any, **__: Any) -> None:
    return None


def _no_rows(*_: Any, **__: Any) -> Any:
    return no_rows


@lru_cache(maxsize=65536)
def _is_anybodys(number: str) -> bool:
    """Judge a number by the library: `+` and digits, nothing read into it."""
    parsed = _as_it_is(number)
    return parsed is not None and phonenumbers.is_valid_number(parsed)


def _is_valid_in(number: str, region: str) -> bool:
    parsed = _as_it_is(number)
    return parsed is not None and (
        phonenumbers.is_valid_number_for_region(parsed, region) or phonenumbers.is_valid_number(parsed)
    )


def _as_it_is(number: str) -> phonenumbers.PhoneNumber | None:
    """Return a number of the library's, all digits behind the country code kept; None where they are zeros only."""
    code = numbering_plans.country_code(number)
    national = number[1 + len(code) :]
    zeros = len(national) - len(national.lstrip("0"))
    if not code or zeros == len(national):
        return None
    return phonenumbers.PhoneNumber(
        country_code=int(code),
        national_number=int(national),
        italian_leading_zero=True if zeros else None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


_GENERAL: tuple[tuple[Any, str, Any], ...] = (
    (users_to_rows, "bulk_function", _no_rows),
    (normalisers, "_plain_phone", _none),
    (normalisers, "national", _none),
    (normalisers, "is_valid_in", _is_valid_in),
    (numbering_plans, "is_anybodys", _is_anybodys),
    (phones, "_DOTTED", re.compile(r"(?!)")),
)
