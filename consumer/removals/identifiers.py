"""The identifiers by which a platform knows people, as keyed hashes: what is remembered of who was removed."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from providers.kit.provider import AnyProvider
from providers.kit.rows.columns import FIELDS
from providers.kit.rows.users_to_rows import Rows, make_removal_rows
from schemas.hash_keys import HashKey
from schemas.records import AudienceUser

AT_ONCE = 100
"""Rows that are hashed before other threads may go on."""

Hashes = tuple[bytes, ...]


class Identifiers:
    """The identifiers of one account's people in the platform's normal form: that of the rows of a removal.

    Who makes no such row has none, as a name or a postal code identifies nobody.
    """

    def __init__(self, provider: AnyProvider, key: HashKey) -> None:
        self.provider = provider
        self._key = key
        self._has_own_rows = provider.has_own_removal_rows()

    @cached_property
    def _attributes(self) -> Sequence[str]:
        """What of a user makes identifiers."""
        columns = () if self._has_own_rows else self.provider.removal_maker.columns
        named = dict.fromkeys(
            field for column in columns for field in (column.fields[:1] if column.field else column.fields)
        )
        return [FIELDS[field] for field in named if field in FIELDS]

    def of_users(self, users: Iterable[AudienceUser]) -> list[Hashes]:
        """Return the identifiers of each user. Takes some 8 microseconds for each, so it is for other threads."""
        numbered = list(enumerate(users))
        found: list[Hashes] = [()] * len(numbered)
        rows = Rows()
        for made in make_removal_rows(self.provider, numbered):
            rows = made
            time.sleep(0)  # the event loop's thread may want to go on
        for count, (row, place) in enumerate(zip(rows.rows, rows.indexes, strict=True)):
            found[place] = tuple(self._key.hashed(self._texts(row)))
            if count % AT_ONCE == 0:
                time.sleep(0)
        return found

    def of(self, user: AudienceUser) -> Hashes:
        """Return the identifiers of one user."""
        return self.of_users([user])[0]

    def without(self, user: AudienceUser, identifiers: Collection[bytes]) -> AudienceUser | None:
        """Return a user without the fields that make some identifiers, None where none is left.

        Of rows that are made by hand it is not known which field makes what: such a user is left out whole.
        """
        if self._has_own_rows:
            return None
        for attribute in self._attributes:
            unwanted = set(self.of(user)).intersection(identifiers)
            if unwanted and getattr(user, attribute) is not None:
                less = msgspec.structs.replace(user, **{attribute: None})
                user = user if unwanted.issubset(self.of(less)) else less
        left = self.of(user)
        return user if left and not set(left).intersection(identifiers) else None

    def _texts(self, row: msgspec.Raw) -> Sequence[bytes]:
        return [
            name.encode() + b"\0" + msgspec.json.encode(value) for name, value in self._pairs(msgspec.json.decode(row))
        ]

    def _pairs(self, row: Any) -> Sequence[tuple[str, object]]:
        if not self._has_own_rows:
            return self.provider.removal_maker.identifying(row)
        names = list(self.provider.removal_identifiers(row))
        is_plain = isinstance(row, Mapping) and all(name in row for name in names)
        return [(name, row[name]) for name in names] if is_plain else [("", row)]
