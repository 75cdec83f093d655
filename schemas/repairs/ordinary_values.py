"""Finds, among many values at once, those that need no repair, in the form in which `repair` would leave them.

A value that is not found may need no repair either; it is to be looked at by itself. What is found is ASCII, as bytes,
since most of it is hashed.
"""

import re
from collections.abc import Callable, Sequence

from schemas.repairs import emails

_LONGEST_ADDRESS = 61
"""Characters, blanks around it included, up to which no part of an address can be too long."""

LONGEST_ID = 63
"""Characters of an ordinary id."""

_FIRST_LETTERS = "".join(name[0] + name[0].upper() for name in emails.RESERVED.split("|"))
"""Of domains that are nobody's: one letter is enough to tell most other domains from them."""

# Possessive: what a part has taken it never gives back, so that no text takes long.
_find_addresses = re.compile(
    rb"\x20*+([A-Za-z0-9_+-]++(?:\.[A-Za-z0-9_+-]++)*+@(?:[A-Za-z0-9]++[.-])++(?<=\.)"
    rb"(?:(?![%b])|(?!(?i:%b)[\x20\n]))[A-Za-z]{2,}+)\x20*+\n|[^\n]*+\n"
    % (_FIRST_LETTERS.encode(), emails.RESERVED.encode())
).findall
_find_ids = re.compile(
    rb"(?:(?![NnUu0-])|(?!(?i:null|none|nan|nil|undefined)\n|[0-]{36}\n))([A-Za-z0-9_.:-]{1,%d}+)\n|[^\n]*+\n"
    % LONGEST_ID
).findall


def ordinary_addresses(texts: Sequence[str]) -> Sequence[bytes]:
    """Return for each text the address in it, trimmed and in lower case; empty bytes where it is no ordinary one."""
    lines = in_lines(texts)
    found = found_in_lines(_find_addresses, lines, texts)
    if max(map(len, texts), default=0) > _LONGEST_ADDRESS:
        found = [one if len(text) <= _LONGEST_ADDRESS else b"" for one, text in zip(found, texts, strict=True)]
    return found if lines.islower() else b"\n".join(found).lower().split(b"\n")


def ordinary_ids(texts: Sequence[str]) -> Sequence[bytes]:
    """Return each text that is an ordinary id as it is; empty bytes for any other."""
    return found_in_lines(_find_ids, in_lines(texts), texts)


def in_lines(texts: Sequence[str]) -> bytes:
    """Return texts, each a line; halves of surrogate pairs may be among them."""
    return ("\n".join(texts) + "\n").encode(errors="surrogatepass")


def found_in_lines(find: Callable[[bytes], list[bytes]], lines: bytes, texts: Sequence[str]) -> list[bytes]:
    """Return what a pattern of one line finds in each text; what it finds never holds a line's end."""
    if lines.count(b"\n") == len(texts):
        return find(lines)
    return [b"" if "\n" in text else find(in_lines([text]))[0] for text in texts]
