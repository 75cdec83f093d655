"""Made-up users with values at the edges of what a record and JSON hold."""

import math
import random

from schemas.bounds import MAX_TEXT
from schemas.records import AudienceUser, Purchase

_TEXTS = (
    *("", "a", "Ada", "DE", "94107", "person7@example.com", "\x00", "\x7f", "\x80", "\u00fc", "J\u00fcrgen", "\u2028"),
    *("\U0001f600", "},{", '"},{"', "\\", "[]", "\ufffd", "x" * 63, "x" * 64, "\u00e9" * 32, "f" * 64, "x" * 127),
    *("x" * 128, "x" * 255, "x" * 256, "\u20ac" * 100, "x" * MAX_TEXT, "\U0001f600" * MAX_TEXT),
)
"""Lengths are on both sides of where one more byte is needed to tell them."""

_NUMBERS = (0.0, -0.0, 1.0, 0.1, -12.5, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 123456789.125)
_ODD_NUMBERS = (math.inf, -math.inf, math.nan)
_ORDINARY = 22
"""So many of the texts are ones that most cases have, as long ones take their time."""


def make_users(chance: random.Random, most: int = 6, *, is_finite: bool = False) -> list[AudienceUser]:
    """Return some users; JSON holds finite numbers only."""
    return [_user(chance, is_finite=is_finite) for _ in range(chance.randint(0, most))]


def _user(chance: random.Random, *, is_finite: bool) -> AudienceUser:
    return AudienceUser(
        edge_tag_id=_text(chance),
        email=_text(chance),
        phone=_text(chance),
        first_name=_text(chance),
        last_name=_text(chance),
        country=_text(chance),
        postal_code=_text(chance),
        purchase=_purchase(chance, is_finite=is_finite) if chance.random() < 0.5 else None,
    )


def _purchase(chance: random.Random, *, is_finite: bool) -> Purchase:
    numbers = (None, *_NUMBERS, *(() if is_finite else _ODD_NUMBERS))
    return Purchase(currency=_text(chance), profit=chance.choice(numbers), total_7_days=chance.choice(numbers))


def _text(chance: random.Random) -> str | None:
    kind = chance.random()
    if kind < 0.4:
        return None
    return chance.choice(_TEXTS[:_ORDINARY] if kind < 0.95 else _TEXTS)
