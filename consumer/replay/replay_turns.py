"""Whose turn it is among the records of a replay: of an audience additions go side by side, a removal goes alone."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from consumer.ordering.log_position import Verb


@dataclass(slots=True)
class _Lane:
    """The records of one audience that have not ended: the last removal, and the additions that came after it."""

    removal: "asyncio.Future[None] | None" = None
    additions: "set[asyncio.Future[None]]" = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class ReplayTurn:
    """The turn of one record: those that must end before, and what the next ones wait for."""

    before: "tuple[asyncio.Future[None], ...]"
    ended: "asyncio.Future[None]"

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for the turn, and hold it while the block is entered."""
        try:
            for earlier in self.before:
                await asyncio.shield(earlier)
            yield
        finally:
            self.ended.set_result(None)


@dataclass(slots=True)
class ReplayTurns:
    """The turns of all audiences, given in the order in which records are met."""

    _lanes: defaultdict[str, _Lane] = field(default_factory=lambda: defaultdict(_Lane))

    def met(self, audience: str, verb: Verb) -> ReplayTurn:
        """Return the turn of a record; to be called in the order of the log."""
        lane, ended = self._lanes[audience], asyncio.get_running_loop().create_future()
        earlier = () if lane.removal is None or lane.removal.done() else (lane.removal,)
        if verb == "add":
            lane.additions.add(ended)
            ended.add_done_callback(lane.additions.discard)
            return ReplayTurn(earlier, ended)
        turn = ReplayTurn((*earlier, *lane.additions), ended)
        lane.removal, lane.additions = ended, set()
        return turn
