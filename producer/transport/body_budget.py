"""Bytes of request bodies that may be held at once, over all requests."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from producer.answers import no_room

STEP = 64 * 1024
"""Bytes that a body of unknown length takes at a time."""

LONGEST_WAIT = 8.0
"""Seconds that such a body waits for more."""

GRACE = 5.0
"""Seconds in which a client may send as little as it likes."""

BUSY = "the server is busy with other uploads"


@dataclass(eq=False, slots=True)
class Room:
    """What one body holds of the budget."""

    budget: "Budget"
    size: int
    began: float
    declared: int | None
    arrived: int = 0
    more: int = 0
    granted: "asyncio.Future[None] | None" = None

    async def arrive(self, count: int) -> None:
        """Note bytes that came, and hold them. Raises Refused (503) where nothing is given back for too long."""
        self.arrived += count
        if self.arrived > self.size:
            await self.budget.grow(self, self.arrived)

    def settle(self, size: int) -> None:
        """Hold so much from now on, as it is there already: the body is read, and does not grow any more."""
        self.budget.settle(self, size)


@dataclass(slots=True)
class Budget:
    """Bytes that bodies may hold at once.

    A body of known length gets all of it before it is read, or is refused. The others grow as they come. So that
    they never wait for each other, what the eldest of them may still need, up to `largest`, is kept from the rest:
    it can always finish, and then the next one is the eldest. Those who are declared in full and so slow that they
    will not be through within `body_timeout` give back what did not come yet when others need it.
    """

    size: int
    largest: int
    body_timeout: float
    longest_wait: float = LONGEST_WAIT
    received: int = field(default=0, init=False)
    """Bytes of bodies that came in all, of those that are through."""
    now: Callable[[], float] = field(default_factory=lambda: asyncio.get_running_loop().time)
    _free: int = field(init=False)
    _growing: dict[Room, None] = field(default_factory=dict, init=False)  # the eldest first
    _declared: dict[Room, None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Begin with all of it free."""
        self._free = self.size

    @contextmanager
    def hold(self, declared: int | None) -> Iterator[Room]:
        """Hold a body's bytes until the block is left. Raises Refused (503) where there is no room."""
        size = declared or 0
        if size > self._free - self._promised:
            self._reclaim(size)
        if size > self._free - self._promised:
            raise no_room(BUSY)
        room = Room(self, size, self.now(), declared)
        self._free -= size
        (self._growing if declared is None else self._declared)[room] = None
        try:
            yield room
        finally:
            self.received += room.arrived
            self.settle(room, 0)

    @property
    def used(self) -> int:
        """Bytes that are held now."""
        return self.size - self._free

    async def grow(self, room: Room, size: int) -> None:
        """Let a body hold `size` bytes, in steps. Raises Refused (503) where it waited for too long."""
        self._growing.setdefault(room)
        wanted = max(size, min(-(-size // STEP) * STEP, self.largest))
        room.more = wanted - room.size
        if not self._fits(room):
            self._reclaim(room.more)
        if self._fits(room):
            self._grant(room)
            return
        room.granted = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self.longest_wait):
                await room.granted
        except TimeoutError:
            raise no_room(BUSY) from None
        finally:
            room.granted = None

    def settle(self, room: Room, size: int) -> None:
        """Note that a body is read and what it holds from now on; where that is more, others get in later."""
        self._free += room.size - size
        room.size = size
        self._growing.pop(room, None)
        self._declared.pop(room, None)
        self._serve()

    @property
    def _promised(self) -> int:
        """What the eldest waits for: nobody may overtake it."""
        eldest = next(iter(self._growing), None)
        return eldest.more if eldest is not None and eldest.granted is not None else 0

    def _fits(self, room: Room) -> bool:
        return room.more <= self._free and (room is next(iter(self._growing)) or self._is_safe(room.more))

    def _is_safe(self, more: int) -> bool:
        """Tell whether the eldest can still finish where the others hold so much more."""
        others = sum(room.size for room in list(self._growing)[1:])
        return others + more + self.largest <= self.size

    def _grant(self, room: Room) -> None:
        self._free -= room.more
        room.size += room.more
        room.more = 0

    def _serve(self) -> None:
        """Grant what fits now to those who wait."""
        for room in self._growing:
            if room.granted is not None and not room.granted.done() and self._fits(room):
                self._grant(room)
                room.granted.set_result(None)

    def _reclaim(self, wanted: int) -> None:
        """Take back from those who will be late what they have reserved and not sent, until there is enough."""
        for room in list(self._declared):
            if self._free >= wanted:
                return
            if self._is_late(room) and (not self._growing or self._is_safe(room.arrived)):
                del self._declared[room]
                self._growing[room] = None
                self._free += room.size - room.arrived
                room.size = room.arrived

    def _is_late(self, room: Room) -> bool:
        age = self.now() - room.began
        return age > GRACE and room.arrived * self.body_timeout < (room.declared or 0) * age
