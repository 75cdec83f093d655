"""Rows of records that are with the platform, and the bodies that they become: bounded by bytes."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from consumer.delivery.in_flight_limiter import InFlightLimiter
from providers.kit.rows.users_to_rows import FEW, MANY, Rows

MOST = 32 * 1024 * 1024
"""Bytes of rows and bodies that an account holds in a process, four of the largest records at least."""

COPIES = 2
"""Times that a row is held: by itself, as the platform may refuse its call, and in the body of the call."""


class RowsInFlight:
    """Room for the rows of one account, given to records in the order in which they come.

    Calls alone bound no memory: each encodes its body before it waits for the pace and a slot. A record whose rows are
    more than there is room for goes alone.
    """

    def __init__(self, most: int = MOST) -> None:
        self._limiter = InFlightLimiter(math.inf, most)
        self._preparing = asyncio.Lock()

    @asynccontextmanager
    async def held(self, turns: Iterator[Rows], users: int = MANY) -> AsyncIterator[Rows]:
        """Hold the rows that come of some turns while the block is entered, once there is room.

        Rows of many users are made of one record after the other, so that the first can be under way while the next is
        prepared, and no more than one waits with its rows made. Those of few wait for nobody's.
        """
        if users <= FEW:
            *_, made = turns
            size = await self._room_for(made)
        else:
            async with self._preparing:
                made = await _in_turns(turns)
                size = await self._room_for(made)
        try:
            yield made
        finally:
            self._limiter.give_back(size)

    async def _room_for(self, made: Rows) -> int:
        size = COPIES * sum(map(len, made.rows))
        if len(made.rows) > MANY:  # to go through them took a millisecond or two, and they are gone through again
            await asyncio.sleep(0)
        await self._limiter.take(size)
        return size


async def _in_turns(turns: Iterator[Rows]) -> Rows:
    made = Rows()
    for grown in turns:
        made = grown
        await asyncio.sleep(0)
    return made
