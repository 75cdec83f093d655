"""Names that a client gave to things: what may be repeated of them, and which of ours they were meant for."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from schemas.records import Mode

MODES: Sequence[Mode] = ("add", "remove")

_SHOWN = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_INDEX = re.compile(r"\[|%5B|\.\d{1,9}$", re.IGNORECASE)


def shown(name: str) -> str | None:
    """Return a name as answers and logs may repeat it, None where it may hold anything, such as personal data."""
    return name if _SHOWN.fullmatch(name) else None


def bare(name: str) -> tuple[str, bool]:
    """Return a name without what clients put around it, and whether it had an index: `channels[0]` is `channels`.

    Brackets come in any number, with anything in them, percent-encoded once too often, or as `.0`; a link that was
    copied out of HTML has `amp;` before its names.
    """
    sent, *index = _INDEX.split(name.strip(), maxsplit=1)
    return sent.removeprefix("amp;").strip(), bool(index)


def meant(name: str, known: Iterable[str], *, with_slips: bool) -> str | None:
    """Return the known name that differs from this one in case, brackets or an index only, or by one slip."""
    sent = bare(name)[0].casefold()
    for one in known:
        if sent == one.casefold() or (with_slips and is_slip(sent, one.casefold())):
            return one
    return None


def is_mode_by_chance(name: str, value: str) -> bool:
    """Tell whether what may be a slip of `mode`, such as `code`, is a word of its own: its value is near no mode."""
    return bare(name)[0].casefold() != "mode" and meant(value, MODES, with_slips=True) is None


def is_slip(sent: str, known: str) -> bool:
    """Tell whether one letter is missing, added or changed, or two are swapped."""
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(sent, known, strict=False)))
    rest, wanted = sent[same:], known[same:]
    is_swapped = rest[:2] == wanted[1::-1] and rest[2:] == wanted[2:]
    return wanted != rest and (rest[1:] == wanted[1:] or rest[1:] == wanted or rest == wanted[1:] or is_swapped)


def corrected(name: str, instead: str, otherwise: str) -> str:
    """Return a fault that names the right name, and the wrong one only where that may be repeated."""
    sent, has_index = bare(name)
    named = shown(name) or (shown(sent) if has_index else None)
    if named is None:
        return f"{otherwise}: one of its names is almost right; send {instead}"
    return f"{named}{'[]' if has_index and named == sent else ''}: send {instead}"
