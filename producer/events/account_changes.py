"""Notices that accounts stand otherwise than before: at once when they say so, else now and then."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ledger.resources import AccountStatus
from schemas.target import Target
from streams.client.errors import StreamError

EVERY = 5.0
"""Seconds between looks at what no account says itself, such as how far it is behind, while somebody listens."""


@dataclass(slots=True, kw_only=True)
class AccountChanges:
    """How accounts stood when they were looked at last."""

    read: Callable[[], Awaitable[Sequence[AccountStatus]]]
    is_wanted: Callable[[], bool]
    changed: Callable[[Target], None]
    known: dict[Target, AccountStatus] = field(default_factory=dict)
    _said: asyncio.Event = field(default_factory=asyncio.Event)

    def look(self) -> None:
        """Look soon, as an account has said something."""
        self._said.set()

    async def run(self) -> None:
        """Look again and again, without end."""
        while True:
            try:
                async with asyncio.timeout(EVERY):
                    await self._said.wait()
            except TimeoutError:
                if not self.is_wanted():
                    continue
            self._said.clear()
            await self._look()

    async def _look(self) -> None:
        try:
            statuses = await self.read()
        except StreamError:  # Kafka is away: it is asked again
            return
        for status in statuses:
            target = Target(status.provider, status.account or "")
            if self.known.get(target) != status:
                self.known[target] = status
                self.changed(target)
