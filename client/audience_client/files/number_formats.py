"""Excel's numbers as people saw them: a format of zeros shows zeros that the number itself has lost."""

import re
from functools import lru_cache

_LITERAL = re.compile(r'"([^"]*)"|\\(.)|_.|([-()/+. ])|([0#?])')
_PLAIN = re.compile(r'(?:"[^"]*"|\\.|_.|[-()/+ 0#?])+')


def shown_number(value: int, number_format: str) -> str:
    """Return a whole number as its format shows it where that is made of digits only, else its digits."""
    slots = _slots(number_format.partition(";")[0])
    digits = str(abs(value))
    least = sum(slot == "0" for slot in slots)
    if not least or value < 0:
        return str(value)
    return _filled(slots, digits.zfill(least))


def _filled(slots: tuple[str, ...], digits: str) -> str:
    """Write digits into a format's slots from the right; those for which no slot is left come first."""
    shown: list[str] = []
    left = list(digits)
    first = next(place for place, slot in enumerate(slots) if slot in "0#?")
    for place in range(len(slots) - 1, -1, -1):
        slot = slots[place]
        if slot not in ("0", "#", "?"):
            shown.append(slot[1:])
        elif left:
            shown.append(left.pop())
        if place == first:
            shown.extend(reversed(left))
            left.clear()
    return "".join(reversed(shown))


@lru_cache(maxsize=256)
def _slots(section: str) -> tuple[str, ...]:
    """Return a format's placeholders, and its literal letters behind a mark; nothing where it is more than those."""
    if not _PLAIN.fullmatch(section):
        return ()
    slots: list[str] = []
    for quoted, escaped, plain, placeholder in _LITERAL.findall(section):
        slots += [placeholder] if placeholder else [f"'{letter}" for letter in quoted or escaped or plain]
    return tuple(slots)
