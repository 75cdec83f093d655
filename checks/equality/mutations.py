"""Values that are nearly usual: a usual one, changed at some places."""

import random
from collections.abc import Sequence

SIGNS = (
    "abcXYZ019 .,;:'\"-_+@#%&/\\()[]{}<>=|~^`$!?*\t\n\r"
    "\x00\x1c\x1f\x7f\x85\xa0\u00ad\u200b\u200d\u202e\ufeff\ufffd\ud800"
    "éÉßſİıÅå\u0301ñÑΣςЖжאبเ日本語ㄱ\u0660\u06f1\uff11\uff21\uff20\u3002\u2019\u2013\U0001f600\U0001d7d8ﬁ\u212a"
)


def mutated(chance: random.Random, text: str, signs: Sequence[str] = SIGNS) -> str:
    """Return a text, mostly as it is, else with a few signs put in, taken out or replaced."""
    letters = list(text)
    for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 2, 4))):
        place = chance.randrange(len(letters) + 1)
        letters[place : place + chance.randrange(2)] = [chance.choice(signs)] if chance.random() < 0.7 else []
    return "".join(letters)
