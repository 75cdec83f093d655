"""Users by column: the values of many beside each other, in their usual form where they need no second look."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from providers.kit.phones.numbering_plans import ordinary_numbers
from providers.kit.rows.bulk.time_slice import endless
from providers.kit.rows.columns import FIELDS
from providers.kit.rows.normalisers import LONGEST_REMEMBERED, REMEMBERED
from schemas.records import AudienceUser, Purchase
from schemas.repairs.ordinary_values import ordinary_addresses, ordinary_ids
from schemas.repairs.users import settled

Cells = Sequence[str | None]
"""A cell for each user: empty where there is nothing, None where the user is to go the general way."""

_VALUES = {field: place for place, field in enumerate(FIELDS)}
_values_of = attrgetter(*FIELDS.values())  # by name: the fields of a subclass may stand in another order

_USUAL: dict[str, Callable[[Sequence[str]], Sequence[bytes]]] = {
    "email": ordinary_addresses,
    "phone": ordinary_numbers,
    "edgeTagId": ordinary_ids,
}


@dataclass(frozen=True, slots=True)
class UserColumns:
    """Users, their texts by field as they were given, empty where there is none, and their purchases.

    `usual` has those of e-mail addresses, numbers and ids that need no second look: trimmed and in lower case, in
    E.164, without blanks. `odd` are the places of users that are to go the general way; it grows. Once `is_over` says
    so no more values are looked at by themselves: their users go the general way, which gives others a turn.
    """

    users: Sequence[AudienceUser]
    given: dict[str, Sequence[str]]
    usual: dict[str, Sequence[bytes]]
    purchases: Sequence[Purchase | None]
    odd: set[int]
    is_over: Callable[[], bool]

    def usual_texts(self, field: str) -> Sequence[str]:
        """Return a field's values in their usual form as texts: all but addresses are in it as they were given."""
        if field == "email":
            return b"\n".join(self.usual[field]).decode().split("\n")
        told = self.usual[field]
        if all(told):
            return self.given[field]
        return [text if usual else "" for text, usual in zip(self.given[field], told, strict=True)]

    def note(self, cells: Cells) -> None:
        """Note the users of whom a cell is to be made the general way."""
        if not all(cells):
            self.odd.update(place for place, cell in enumerate(cells) if cell is None)


def by_column(users: Sequence[AudienceUser], is_over: Callable[[], bool], *, as_they_are: bool) -> UserColumns:
    """Return users by column, at least one. Of names, countries, postal codes and purchases nothing is judged yet.

    Where users are needed as they are, whom repairs change in any way is to go the general way.
    """
    values = list(zip(*map(_values_of, users), strict=True))
    given = {field: _without_none(values[place]) for field, place in _VALUES.items() if field != "purchase"}
    usual = {field: tell(given[field]) for field, tell in _USUAL.items()}
    columns = UserColumns(users, given, usual, values[_VALUES["purchase"]], set(), is_over)
    for field, told in usual.items():
        if not all(told):
            _settle(field, columns, as_they_are=as_they_are)
    return columns


def _without_none(texts: Sequence[str | None]) -> Sequence[str]:
    return [text or "" for text in texts] if not all(texts) else texts  # type: ignore[return-value] # none is None


def _settle(field: str, columns: UserColumns, *, as_they_are: bool) -> None:
    """Repair values that are not in their usual form, where nothing is to be told of that; note the users of others."""
    texts = list(columns.given[field])
    for place, usual in enumerate(columns.usual[field]):
        if not usual and (text := texts[place]):
            left = None if columns.is_over() else settled_text(field, text, "", as_it_is=as_they_are)
            if left is None:
                columns.odd.add(place)
            else:
                texts[place] = left
    columns.given[field] = texts


def settled_text(field: str, text: str, country: str, *, as_it_is: bool) -> str | None:
    """Return a text as repairs leave it, None where anything is to be told of that, or where it is not as it is."""
    left = settled(field, text, country or None)
    return None if as_it_is and left != text else left


class Remembered(dict[str, str | None]):
    """Cells of values that repeat: what is not known is made. All is forgotten when it is full, which costs least.

    Where making one fails, the general way is to say so. Keys are texts: thousands of tuples would hold the event loop
    up when the collector of cycles comes by.
    """

    def __init__(self, make: Callable[[str], str | None]) -> None:
        super().__init__()
        self.make = make
        self._is_over: Callable[[], bool] = endless

    def of(self, keys: Iterable[str], is_over: Callable[[], bool]) -> Cells:
        """Return the cell of each value; None for those that are not known when the turn is over."""
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
