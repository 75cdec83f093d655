"""Puts together what tells of changes."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ledger.queries import Queries
from ledger.resources import AccountStatus
from ledger.view_updater import Following
from producer.events.account_changes import AccountChanges
from producer.events.broadcast import Broadcast
from producer.events.change_log import KEPT, Change, ChangeLog
from producer.events.handler import Events, most_listeners
from producer.events.heartbeats import Heartbeats
from producer.events.rendering import EventReader, loss_key
from producer.settings import ServerSettings
from schemas.target import Target
from streams.tables.account_states import States


@dataclass(frozen=True, slots=True, kw_only=True)
class EventService:
    """The handler, and the tasks that never end well."""

    events: Events
    tasks: "tuple[asyncio.Task[None], ...]"

    def end(self) -> None:
        """End all streams, before the server waits for the requests that are under way."""
        self.events.broadcast.end()


@asynccontextmanager
async def events_running(
    settings: ServerSettings,
    targets: Sequence[Target],
    following: Following,
    queries: Queries,
    states: States,
    read_accounts: Callable[[], Awaitable[Sequence[AccountStatus]]],
) -> AsyncIterator[EventService]:
    """Note what changes, and tell it to who listens, while the block is entered."""
    known: dict[Target, AccountStatus] = {}
    reader = EventReader(queries=queries, accounts=known, losses_of=states.losses_of)
    changes = ChangeLog(name=lambda: secrets.token_hex(6), most=KEPT)
    broadcast = Broadcast(following=following, reader=reader, changes=changes)
    heartbeats = Heartbeats(every=settings.event_heartbeat)
    accounts = AccountChanges(
        read=read_accounts,
        is_wanted=broadcast.asks_for_accounts,
        changed=lambda target: broadcast.note(Change("account", str(target))),
        known=known,
    )
    following.changes.listen(broadcast.take)
    states.listen(lambda _: accounts.look())
    states.listen_to_losses(lambda loss: broadcast.note(Change("loss", loss_key(loss))))
    events = Events(
        following=following,
        broadcast=broadcast,
        targets=targets,
        most=most_listeners(settings),
        heartbeats=heartbeats,
    )
    tasks = (*map(asyncio.create_task, (broadcast.run(), accounts.run(), heartbeats.run())),)
    try:
        yield EventService(events=events, tasks=tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
