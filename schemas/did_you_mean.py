"""What may have been meant: the known names that wrong ones are nearest to."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

LONGEST = 64
"""Characters of a name that is looked at; no name of ours is longer, and likeness takes time."""


def did_you_mean(wrong: Iterable[str], known: Collection[str]) -> str:
    """Return a hint to put behind a sentence, empty where nothing known is near; it repeats nothing that is wrong."""
    tried = (name.lower() for name in wrong if len(name) <= LONGEST)
    near = dict.fromkeys(name for one in tried for name in get_close_matches(one, known, 1))
    return f" (did you mean {', '.join(near)}?)" if near else ""
