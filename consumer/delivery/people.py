"""The users of a record that are to be sent, with their indexes in the request."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from consumer.removals.late_record import Numbered
from schemas.records import AudienceBatch, AudienceUser


@dataclass(slots=True)
class People:
    """Users and their indexes, paired one at a time.

    Thousands of pairs are what the collector of cycles would spend most of its time on.
    """

    indexes: Sequence[int]
    users: list[AudienceUser]

    @classmethod
    def of(cls, batch: AudienceBatch, only: Container[int] | None = None) -> "People":
        """Return the users of a batch, or those of them with these indexes."""
        first = batch.first_index
        every: Sequence[int] = range(first, first + len(batch.users))
        indexes = every if only is None else [index for index in every if index in only]
        return cls(indexes, [batch.users[index - first] for index in indexes])

    @classmethod
    def those(cls, numbered: Iterable[Numbered]) -> "People":
        """Return these users."""
        indexes: list[int] = []
        users: list[AudienceUser] = []
        for index, user in numbered:
            indexes.append(index)
            users.append(user)
        return cls(indexes, users)

    def __len__(self) -> int:
        return len(self.users)

    def __iter__(self) -> Iterator[Numbered]:
        return zip(self.indexes, self.users, strict=True)

    def taken_out(self) -> Iterator[Numbered]:
        """Yield users and forget them."""
        self.users.reverse()
        for index in self.indexes:
            yield index, self.users.pop()
