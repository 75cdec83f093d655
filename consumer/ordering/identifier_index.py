"""Which identifiers stood in one row: whoever is named by one of them is meant with the others."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

FEW = 4
"""Others that are held in a tuple; a number that a shop gives for all its customers stands beside all of them."""


@dataclass(slots=True)
class IdentifierIndex:
    """The identifiers that the additions to one audience named together, as far as the log still has them.

    It is told the additions before each removal, in the order of the log; the same again changes nothing. What has
    left the log meanwhile may be known still, which harms nobody.
    """

    _others: dict[bytes, bytes | tuple[bytes, ...] | dict[bytes, None]] = field(default_factory=dict)
    """Of each identifier those that stood beside it: mostly one, which is held without a tuple; many as keys."""

    def __len__(self) -> int:
        return len(self._others)

    def note(self, people: Iterable[Sequence[bytes]]) -> None:
        """Note the rows of an addition."""
        for identifiers in people:
            for identifier in identifiers:
                self._note(identifier, identifiers)

    def _note(self, identifier: bytes, row: Sequence[bytes]) -> None:
        known = self.beside(identifier)
        more = tuple(other for other in row if other != identifier and other not in known)
        if isinstance(known, dict):
            known.update(dict.fromkeys(more))
        elif more or identifier not in self._others:
            others = (*known, *more)
            self._others[identifier] = (
                others[0] if len(others) == 1 else others if len(others) <= FEW else dict.fromkeys(others)
            )

    def beside(self, identifier: bytes) -> Collection[bytes]:
        """Return the identifiers that stood in one row with this one, in the order in which they came."""
        others = self._others.get(identifier, ())
        return (others,) if isinstance(others, bytes) else others

    def knows(self, identifiers: Iterable[bytes]) -> bool:
        """Tell whether any row was seen of a person, whom a removal names by these.

        Where none was, the person may have had others: `other_identifiers_unknown`.
        """
        return any(identifier in self._others for identifier in identifiers)

    def has_others(self, identifiers: Sequence[bytes]) -> bool:
        """Tell whether a removal that names these means more than them."""
        return any(other not in identifiers for identifier in identifiers for other in self.beside(identifier))

    def meant_by(self, identifiers: Sequence[bytes]) -> list[bytes]:
        """Return the identifiers of all whom a removal means that names these, those that it names first."""
        meant = dict.fromkeys(identifiers)
        for identifier in list(meant):
            meant.update(dict.fromkeys(self.beside(identifier)))
        return list(meant)
