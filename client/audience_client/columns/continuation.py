"""Lines that belong to the customer above them, in exports of shops."""

from collections.abc import Sequence
from dataclasses import dataclass

from audience_client.columns.folding import fold

_ADDRESSES = "_address_"


@dataclass(frozen=True, slots=True)
class Continuation:
    """How a line is told to go on with the one above: what begins a customer is empty in it, or the same.

    Magento writes a second address below, with nothing but its columns filled. Shopify's orders repeat the order's
    number for each further item, and leave out what was said of the order, or all but the e-mail address.
    """

    own: frozenset[int]
    """Columns that alone are filled in such a line."""

    repeated: frozenset[int] = frozenset()
    """Columns that are filled and the same as in the line above."""

    optional: frozenset[int] = frozenset()
    """Columns that are empty, or the same as in the line above."""

    def continues(self, above: Sequence[str], row: Sequence[str]) -> bool:
        """Tell whether a row is of the same customer as the one above, both with all cells."""
        if any(row[column] != above[column] for column in self.repeated):
            return False
        filled = {column for column, cell in enumerate(row) if cell and not self._is_repeated(column, above, row)}
        return bool(filled & self.own) and filled <= self.own | self.repeated

    def _is_repeated(self, column: int, above: Sequence[str], row: Sequence[str]) -> bool:
        return column in self.optional and row[column] == above[column]


def continuation_of(columns: Sequence[str]) -> Continuation | None:
    """Return how a file's lines go on with those above, None where each is a customer."""
    folded = [fold(name) for name in columns]
    addresses = frozenset(place for place, name in enumerate(columns) if name.startswith(_ADDRESSES))
    if addresses and "email" in folded:
        return Continuation(addresses)
    items = frozenset(place for place, name in enumerate(folded) if name.startswith("lineitem"))
    if items and {"name", "email"} <= set(folded):
        of_items = items | {place for place, name in enumerate(folded) if name == "vendor"}
        return Continuation(of_items, frozenset({folded.index("name")}), frozenset({folded.index("email")}))
    return None


def merged(above: Sequence[str], row: Sequence[str]) -> list[str]:
    """Return a customer of two lines: of each column the first that is filled."""
    return [first or second for first, second in zip(above, row, strict=True)]
