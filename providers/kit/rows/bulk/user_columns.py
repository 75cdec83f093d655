"""Users by column: the values of many beside each other, in canonical form where they need no second look."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from providers.kit.phones.numbering_plans import ordinary_numbers
from providers.kit.rows.bulk.time_slice import never_over
from providers.kit.rows.columns import FIELDS
from providers.kit.rows.normalisers import LONGEST_REMEMBERED, REMEMBERED
from schemas.records import AudienceUser, Purchase
from schemas.repairs.ordinary_values import ordinary_addresses, ordinary_ids
from schemas.repairs.users import uncounted_repair

Cells = Sequence[str | None]
"""A cell for each user: empty where there is nothing, None where the user's row is to be made by itself."""

_POSITIONS = {field: position for position, field in enumerate(FIELDS)}
_values_of = attrgetter(*FIELDS.values())  # by name: the fields of a subclass may stand in another order

_CANONICAL: dict[str, Callable[[Sequence[str]], Sequence[bytes]]] = {
    "email": ordinary_addresses,
    "phone": ordinary_numbers,
    "edgeTagId": ordinary_ids,
}
"""By field what returns the canonical form of each text that needs no second look, and empty bytes for the others."""


@dataclass(frozen=True, slots=True)
class UserColumns:
    """Users, their texts by field as they were given, empty where there is none, and their purchases.

    `canonical` has e-mail addresses, numbers and ids that need no second look, in one form: trimmed and in lower case,
    in E.164, without blanks. `deferred` are the indexes of users whose rows are to be made one by one; it grows. Once
    the slice of time is over, by `is_over`, no more values are repaired here: their users are deferred.
    """

    users: Sequence[AudienceUser]
    given: dict[str, Sequence[str]]
    canonical: dict[str, Sequence[bytes]]
    purchases: Sequence[Purchase | None]
    deferred: set[int]
    is_over: Callable[[], bool]

    def canonical_texts(self, field: str) -> Sequence[str]:
        """Return a field's values in canonical form as texts; of numbers and ids that is the given text itself."""
        canonical = self.canonical[field]
        if field == "email":
            return b"\n".join(canonical).decode().split("\n")
        if all(canonical):
            return self.given[field]
        return [text if known else "" for text, known in zip(self.given[field], canonical, strict=True)]

    def defer(self, cells: Cells) -> None:
        """Defer the users whose cell is None."""
        if not all(cells):
            self.deferred.update(index for index, cell in enumerate(cells) if cell is None)


def by_column(users: Sequence[AudienceUser], is_over: Callable[[], bool], *, as_they_are: bool) -> UserColumns:
    """Return users by column, of at least one. Names, countries, postal codes and purchases are not looked at yet.

    With `as_they_are` every user that a repair would change in any way is deferred.
    """
    values = list(zip(*map(_values_of, users), strict=True))
    given = {field: _without_none(values[position]) for field, position in _POSITIONS.items() if field != "purchase"}
    canonical = {field: canonical_of(given[field]) for field, canonical_of in _CANONICAL.items()}
    columns = UserColumns(users, given, canonical, values[_POSITIONS["purchase"]], set(), is_over)
    for field, texts in canonical.items():
        if not all(texts):
            _repair(field, columns, as_they_are=as_they_are)
    return columns


def _without_none(texts: Sequence[str | None]) -> Sequence[str]:
    return [text or "" for text in texts] if not all(texts) else texts  # type: ignore[return-value] # none is None


def _repair(field: str, columns: UserColumns, *, as_they_are: bool) -> None:
    """Replace each text of a field that has no canonical form by its repaired one.

    A user whose repair is to be counted, or whose value is to be dropped, is deferred instead.
    """
    texts = list(columns.given[field])
    for index, canonical in enumerate(columns.canonical[field]):
        if not canonical and (text := texts[index]):
            repaired = None if columns.is_over() else bulk_repair(field, text, "", as_it_is=as_they_are)
            if repaired is None:
                columns.deferred.add(index)
            else:
                texts[index] = repaired
    columns.given[field] = texts


def bulk_repair(field: str, text: str, country: str, *, as_it_is: bool) -> str | None:
    """Return a text as repairs leave it, None where the repair is to be counted or the value dropped.

    With `as_it_is` also None where repairs change the text at all.
    """
    left = uncounted_repair(field, text, country or None)
    return None if as_it_is and left != text else left


class Remembered(dict[str, str | None]):
    """Cells of values that repeat: what is not known is made. All is forgotten when it is full, which costs least.

    Where making one fails, its cell is None, and the user's own row says why. Keys are texts: thousands of tuples would
    hold the event loop up when the collector of cycles comes by.
    """

    def __init__(self, make: Callable[[str], str | None]) -> None:
        super().__init__()
        self.make = make
        self._is_over: Callable[[], bool] = never_over

    def of(self, keys: Iterable[str], is_over: Callable[[], bool]) -> Cells:
        """Return the cell of each value; None for those that are not known when the slice of time is over."""
        self._is_over = is_over
        return list(map(self.__getitem__, keys))

    def __missing__(self, key: str) -> str | None:
        if self._is_over():
            return None
        try:
            cell = self.make(key)
        except Exception:
            return None
        if len(key) <= LONGEST_REMEMBERED:
            if len(self) >= REMEMBERED:
                self.clear()
            self[key] = cell
        return cell
