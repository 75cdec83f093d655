"""JSON numbers as text."""

import math


def number_text(number: float) -> str:
    """Return the shortest decimal text of a finite number, as JavaScript's String() does: 5.0 is `5`.

    Whole numbers below 1e21 keep all their digits. Raises ValueError for a number that is not finite or that
    only an integer type without bounds can hold.
    """
    try:
        as_float = float(number)
    except OverflowError:
        raise ValueError("not a finite number") from None
    if not math.isfinite(as_float):
        raise ValueError("not a finite number")
    if abs(number) < 1e21 and as_float.is_integer():
        return str(int(number))
    return repr(as_float)
