"""The users of a record that are to be sent, with their indexes in the request."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from consumer.removals.late_record import Numbered
from schemas.records import AudienceBatch, AudienceUser

MANY = 250
"""Users that are let go of at once."""


@dataclass(slots=True)
class UsersToSend:
    """Users and their indexes, paired one at a time, the users in tuples of MANY.

    The collector of cycles forgets a tuple of users once it has met it. Lists of them, which may wait for long, and
    thousands of pairs are what it would spend most of its time on.
    """

    indexes: Sequence[int]
    users: list[tuple[AudienceUser, ...]]

    @classmethod
    def of(cls, batch: AudienceBatch, only: Container[int] | None = None) -> "UsersToSend":
        """Return the users of a batch, or those of them with these indexes."""
        first = batch.first_index
        every: Sequence[int] = range(first, first + len(batch.users))
        indexes = every if only is None else tuple(index for index in every if index in only)
        return cls(indexes, _cut(batch.users[index - first] for index in indexes))

    @classmethod
    def those(cls, numbered: Iterable[Numbered]) -> "UsersToSend":
        """Return these users."""
        every = tuple(numbered)
        return cls(tuple(index for index, _ in every), _cut(user for _, user in every))

    def __len__(self) -> int:
        return len(self.indexes)

    def __iter__(self) -> Iterator[Numbered]:
        return zip(self.indexes, chain.from_iterable(self.users), strict=True)

    def taken_out(self) -> Iterator[Numbered]:
        """Yield users and forget them."""
        indexes = iter(self.indexes)
        self.users.reverse()
        while self.users:
            some = self.users.pop()
            yield from zip(islice(indexes, len(some)), some, strict=True)


def _cut(users: Iterable[AudienceUser]) -> list[tuple[AudienceUser, ...]]:
    rest = iter(users)
    return list(iter(lambda: tuple(islice(rest, MANY)), ()))
