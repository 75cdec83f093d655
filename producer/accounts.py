"""How the accounts stand: what they say of themselves, and what Kafka knows of their groups."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from ledger.resources import AccountPage, AccountStatus, TransactionStatus
from ledger.status import account_status
from ledger.view_updater import Following
from producer.request.query_names import refuse_names
from schemas.target import Target
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.groups import GroupLooks
from streams.cluster.open_transactions import OpenTransaction
from streams.cluster.topics import TopicNames
from streams.tables.account_states import States

REFRESH_EVERY = 5.0
"""Seconds between two looks at the groups."""

ASKED_WITHIN = 300.0
"""Seconds for which looking goes on after somebody asked; whoever asks later waits for the first look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """What Kafka said of the accounts' groups, and when by the loop's clock. None is what it did not say."""

    at: float
    behind: Mapping[str, int | None]
    active: set[str] | None


@dataclass(slots=True, kw_only=True)
class Accounts:
    """Handler of `GET /audience/accounts`: it tells what Kafka said last, as asking takes a tenth of a second."""

    targets: Sequence[Target]
    states: States
    kafka: KafkaSettings
    names: TopicNames
    following: Following
    _known: Groups | None = None
    _asked_at: float = 0.0
    _is_asked: asyncio.Event = field(default_factory=asyncio.Event)
    _is_fresh: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> list[web.RouteDef]:
        """Return the path and its handler."""
        return [web.get("/audience/accounts", self.accounts, allow_head=False)]

    @asynccontextmanager
    async def looking(self) -> "AsyncIterator[asyncio.Task[None]]":
        """Look at the groups while the block is entered; the task never ends well."""
        task = asyncio.create_task(self._keep())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self) -> None:
        """Look at the groups again and again, without end, while somebody asks."""
        now = asyncio.get_running_loop().time
        groups = {str(target): target.group_id(self.names.prefix) for target in self.targets}
        while True:
            await self._is_asked.wait()
            with GroupLooks(self.kafka, groups.values(), self.names.batches) as looks:
                while now() - self._asked_at <= ASKED_WITHIN:
                    self._known = await self._looked(looks, groups, now())
                    self._is_fresh.set()
                    await asyncio.sleep(REFRESH_EVERY)
            self._is_asked.clear()
            self._is_fresh.clear()

    async def _looked(self, looks: GroupLooks, groups: Mapping[str, str], at: float) -> Groups:
        active, behind = await asyncio.gather(self._active(looks), self._behind(looks))
        return Groups(at=at, behind={name: behind.get(group) for name, group in groups.items()}, active=active)

    async def accounts(self, request: web.Request) -> web.Response:
        """Answer with how all accounts stand. Raises Refused."""
        refuse_names(request)
        return web.Response(body=msgspec.json.encode(await self.page()), content_type="application/json")

    async def page(self) -> AccountPage:
        """Return how each account stands, what all of them may wait for, and what is not told of any."""
        known = await self._groups()
        return AccountPage(
            accounts=[self._status(target, known) for target in self.targets],
            open_transactions=[_transaction(one) for one in self.following.open_transactions],
            unread=self.following.unread,
            seconds_old=round(asyncio.get_running_loop().time() - known.at, 1),
        )

    async def statuses(self) -> list[AccountStatus]:
        """Return how each account stands."""
        known = await self._groups()
        return [self._status(target, known) for target in self.targets]

    async def _groups(self) -> Groups:
        """Return what Kafka said last, once it has said anything."""
        now = asyncio.get_running_loop().time()
        self._asked_at = now
        self._is_asked.set()
        await self._is_fresh.wait()
        return self._known or Groups(at=now, behind={}, active=None)

    def _status(self, target: Target, known: Groups) -> AccountStatus:
        state, losses = self.states.of(target), self.states.losses_of(target)
        is_active = None if known.active is None else target.group_id(self.names.prefix) in known.active
        behind = known.behind.get(str(target))
        return account_status(target, state, losses, datetime.now(UTC), behind=behind, has_consumer=is_active)

    async def _active(self, looks: GroupLooks) -> set[str] | None:
        try:
            return await looks.with_members()
        except KafkaUnreachableError:
            return None

    async def _behind(self, looks: GroupLooks) -> Mapping[str, int | None]:
        try:
            return await looks.backlogs(self.following.log_id)
        except KafkaUnreachableError:
            return {}


def _transaction(one: OpenTransaction) -> TransactionStatus:
    return TransactionStatus(partition=one.partition, offset=one.offset, since=one.since)
