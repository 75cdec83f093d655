"""Numbers as they are dialled within a country, read without the library where that is certain."""

from functools import cache

from providers.kit.phones.compiled_plans import E164_LENGTHS, Plan, is_anybodys, plan_of_region

PUNCTUATION = b" ()-./"
"""What plain punctuation is made of."""

_WITHOUT_PUNCTUATION = str.maketrans("", "", PUNCTUATION.decode())
_LEAST, _MOST = 5, 15
"""Digits of what is looked at here; E.164 has no more."""


def national(text: str, region: str) -> str | None:
    """Return a number in plain punctuation, as dialled in a region, as `+` and digits; None where that is not certain.

    What it returns is what the library's `parse` makes of the text, and valid. None says nothing of the number.
    """
    digits = text.translate(_WITHOUT_PUNCTUATION)
    plan = plan_of_region(region)
    if plan is None or not (_LEAST <= len(digits) <= _MOST and digits.isascii() and digits.isdecimal()):
        return None
    if plan.is_abroad(digits):
        return None
    found = _significant(digits, plan)
    number = f"+{plan.code}{found or ''}"
    return number if len(number) in E164_LENGTHS and is_anybodys(number) else None


class PlainForm:
    """Finds a region's numbers in the form in which they are mostly dialled.

    It is given digits without PUNCTUATION, as bytes, since taking signs away costs half as much there. Numbers in this
    form begin neither with what is dialled before a country code nor with the country's own code.
    """

    def __init__(self, plan: Plan) -> None:
        self.plus_code = f"+{plan.code}"
        self._plan = plan
        self._start = plan.plain_start
        self._lengths = plan.plain_lengths

    def number(self, digits: bytes) -> str | None:
        """Return what comes behind the country code, None where it is not certain."""
        found = self._start(digits)
        if found is None or len(digits) - found.end() not in self._lengths:
            return None
        number = digits[found.end() :].decode()
        return number if self._plan.is_number(number) else None


@cache
def plain_form(region: str) -> PlainForm | None:
    """Return how numbers are mostly dialled in a region, an alpha-2 code; None where there is no plan."""
    plan = plan_of_region(region.upper())
    return None if plan is None else PlainForm(plan)


def _significant(digits: str, plan: Plan) -> str | None:
    """Return the digits that count: without the country's own code where it is written, and without the prefix."""
    if digits.startswith(plan.code):
        rest = plan.without_prefix(digits[len(plan.code) :])
        if rest is None:
            return None
        if (not plan.is_viable(digits) and plan.is_viable(rest)) or plan.is_too_long(digits):
            if not plan.is_main:
                return None
            digits = rest
    left = plan.without_prefix(digits)
    if left is None or plan.is_too_long(left):
        return left
    return left if len(left) in plan.general.lengths and len(left) not in plan.local_lengths else digits
