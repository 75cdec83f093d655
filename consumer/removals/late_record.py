"""One record in the order of its audience: whom it leaves as they are, and what is to be done again after it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from consumer.ordering.removal_memory import Later
from consumer.ordering.standing import NEVER, Standing
from consumer.removals.account_removals import AccountRemovals
from consumer.removals.audience_memory import AudienceMemory
from consumer.removals.identifiers import Hashes
from consumer.retries.wait_without_slot import rest
from schemas.records import AudienceUser, Mode

Numbered = tuple[int, AudienceUser]

Again = Callable[[Later, frozenset[bytes]], Awaitable[None]]
"""Does a later record again for some identifiers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Who is to be sent of a record's users, and the indexes of those about whom later records decide."""

    users: Iterable[Numbered]
    superseded: Sequence[int] = ()


@dataclass(slots=True, kw_only=True)
class RecordInOrder:
    """A record that may have to leave somebody out, and to settle what its calls may have undone.

    With `only` it is done again for these identifiers alone. A record of an audience without removals pays a look at
    the table of those that have some, before and after its calls, and only where it is late.
    """

    removals: AccountRemovals
    audience: str
    mode: Mode
    standing: Standing
    only: frozenset[bytes] | None = None
    has_begun: bool = False
    """Whether an earlier try of it sent some of its users, before it could be known who is left out by now."""
    _sent: set[bytes] = field(default_factory=set)
    _is_noted: bool = False
    """Whether it is known by which identifiers its users are sent."""

    async def left(self, users: Iterable[Numbered]) -> Left:
        """Return whom to send.

        An addition in its turn is compared as well where people were removed in another partition: its audience has
        other names, or it does not stand at home.
        """
        is_late = self.standing.is_late and not self.standing.is_awaited()
        if not is_late and self.mode == "add":
            is_late = self.removals.has_elsewhere(self.audience, self.standing.place.partition)
        if not is_late or not await self.removals.is_known(self.audience):
            return Left(users=users)
        memory = await self.removals.memory.caught_up(self.audience)
        self._is_noted = True
        return await asyncio.to_thread(self._left, memory, users)

    def _left(self, memory: AudienceMemory, users: Iterable[Numbered]) -> Left:
        """Return whom to send, and note by which identifiers.

        Who is removed by one identifier may leave with those by which they were added after: a profile has several.
        """
        identifiers = self.removals.memory.identifiers
        hashed = identifiers.of_users(user for _, user in users)
        later = memory.superseded(self.standing.place, self.mode, hashed)
        kept: list[Numbered] = []
        superseded: list[int] = []
        for position, (index, user) in enumerate(users):
            if not self._is_concerned(memory, hashed[position]):
                continue
            gone = later.get(position, {})
            left = identifiers.without(user, gone) if gone else user
            if left is not None:
                kept.append((index, left))
                self._sent.update(one for one in hashed[position] if one not in gone or self.mode == "remove")
            else:
                superseded.append(index)
        return Left(users=kept, superseded=superseded)

    def _is_concerned(self, memory: AudienceMemory, identifiers: Hashes) -> bool:
        """Tell whether a user is one of those for whom a record is done again, as a whole.

        A platform that was given only some of a user's identifiers might take them for somebody else.
        """
        if self.only is None:
            return True
        meant = identifiers if self.mode == "add" else memory.meant(self.standing.place, identifiers)
        return not self.only.isdisjoint(meant)

    async def others(self, users: Iterable[Numbered]) -> tuple[list[AudienceUser], int]:
        """Return people as the log has them whom a removal means beside its own users, and how many it has no row of.

        Those are the rows of earlier additions that name one of their identifiers beside others.
        """
        log, place = self.removals.memory, self.standing.place
        memory = await log.caught_up(self.audience)
        named, wanted, unknown = await asyncio.to_thread(self._named, memory, [user for _, user in users])
        if not wanted:
            return [], unknown
        rows = await log.rows_that_name(self.audience, place, wanted)
        more = [(position, user) for position, (user, hashes) in enumerate(rows) if not named.issuperset(hashes)]
        found = await self.left(more)
        return [user for _, user in found.users], unknown

    def _named(self, memory: AudienceMemory, users: Sequence[AudienceUser]) -> tuple[set[bytes], set[bytes], int]:
        """Return the identifiers that a removal names, those of them that stood beside others, and who is unknown."""
        hashed = self.removals.memory.identifiers.of_users(users)
        wanted = {one for own in hashed if memory.has_others(own) for one in own}
        unknown = sum(1 for own in hashed if own and not memory.knows(own))
        return set(chain.from_iterable(hashed)), wanted, unknown

    async def settle(self, until: float, again: Again) -> None:
        """Do again for whom later records decide what a call of this one may have undone.

        1. Wait until no call of it can take effect. 2. Read the log to its end. 3. Do what is owed.
        """
        time, standing = self.removals.time, self.standing
        is_done = until <= time.clock()
        if standing.has_turn and is_done and not await self.removals.is_known(self.audience):
            return  # who is removed from now on is removed once more when no call of ours can come
        last = max(until, standing.calls_until)
        while (seconds := last - time.clock()) > 0:
            await rest(seconds, time.sleep)
        if standing.is_awaited() or not await self.removals.is_known(self.audience):
            return
        memory = await self.removals.memory.caught_up(self.audience)
        is_suspect = standing.is_suspect or standing.calls_until > NEVER
        if is_suspect or self.has_begun or not self._is_noted:
            self._sent.update(await self._all(memory))
        owed = await asyncio.to_thread(
            memory.owed, standing.place, self.mode, sorted(self._sent), is_suspect=is_suspect
        )
        for later, identifiers in owed.items():
            await again(later, frozenset(identifiers))

    async def _all(self, memory: AudienceMemory) -> list[bytes]:
        """Return the identifiers of all whom the record names or means."""
        place = self.standing.place
        found = await self.removals.fetched(place.partition, place.offset)
        if found is None:
            return []
        batch, _ = found
        hashed = await asyncio.to_thread(self.removals.memory.identifiers.of_users, batch.users)
        every: Hashes = tuple(chain.from_iterable(one for one in hashed if self._is_concerned(memory, one)))
        return list(every) if self.mode == "add" else memory.meant(place, every)
