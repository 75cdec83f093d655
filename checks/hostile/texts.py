"""Values that some reader may stumble over, each recognised wherever it turns up."""

import random

from checks.hostile.draft import mark

Chance = random.Random


def odd_text(chance: Chance) -> bytes:
    """Return one of them."""
    value = mark(chance).encode()
    return chance.choice(
        [
            value,
            b"",
            b" " + value,
            value + b"\xff\xfe",
            "ÄÖ李".encode() + value,
            b'"' + value,
            value + b'";x="',
            b"%00" + value,
            b"\x00" + value,
            value * chance.choice([1, 50, 1500]),
            b"-1",
            b"9" * 40,
        ]
    )
