"""JSON numbers as text."""

import math
from decimal import Decimal

Number = int | float | Decimal
"""A number of JSON: a Decimal where a float would lose digits."""

FROM, TO = Decimal("1e-6"), Decimal("1e21")
"""Between these numbers are written without an exponent."""


DIGITS = 15
"""Digits that a double keeps of any number."""


def number(literal: str) -> float | Decimal:
    """Return a number with a fraction or an exponent with all of its digits; infinite where it is too large."""
    nearest = float(literal)
    if not math.isfinite(nearest) or nearest == 0:
        return nearest
    exact = Decimal(literal)
    return nearest if Decimal(repr(nearest)) == exact else exact


def number_text(number: Number) -> str:
    """Return the shortest decimal text of a finite number, as JavaScript's String() does: 5.0 is `5`, 1e-7 is `1e-7`.

    What has more digits than a double surely keeps has them all, as two ids must not become one. Raises ValueError
    for a number that is not finite or has thousands of digits.
    """
    if isinstance(number, int):
        return str(number)
    exact = number if isinstance(number, Decimal) else Decimal(repr(number))
    if not exact.is_finite():
        raise ValueError("not a finite number")
    if number == 0:
        return "0"
    is_long = len(exact.as_tuple().digits) > DIGITS
    if is_long or FROM <= abs(exact) < TO:
        text = format(exact, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    digits, _, exponent = repr(float(number)).partition("e")
    return f"{digits}e{int(exponent):+}"


def session_id_text(text: str) -> str:
    """Return a session's id of a path or a query as it is kept: `5.0` is `5`."""
    try:
        return number_text(number(text)) if "." in text or "e" in text.lower() else text
    except (ValueError, ArithmeticError):
        return text
