"""Tables as text: columns one below the other, nothing that would steer a terminal."""

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width


def table(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    """Yield rows with their columns below each other, the first row being names."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        yield (indent + "  ".join(padded)).rstrip()


def printable(text: str) -> str:
    """Return a text on one line without what would steer a terminal: names of columns are what somebody wrote."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _width(text: str) -> int:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
