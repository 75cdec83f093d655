"""How the accounts stand: what they say of themselves, and what Kafka knows of their groups."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from ledger.resources import AccountPage, AccountStatus, TransactionStatus
from ledger.status import account_status
from ledger.view_updater import Following
from schemas.target import Target
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.groups import backlog, groups_with_members
from streams.cluster.open_transactions import OpenTransaction
from streams.cluster.topics import TopicNames
from streams.tables.account_states import States


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Handler of `GET /audience/accounts`."""

    targets: Sequence[Target]
    states: States
    kafka: KafkaSettings
    names: TopicNames
    following: Following

    def routes(self) -> list[web.RouteDef]:
        """Return the path and its handler."""
        return [web.get("/audience/accounts", self.accounts, allow_head=False)]

    async def accounts(self, request: web.Request) -> web.Response:
        """Answer with how all accounts stand."""
        del request
        return web.Response(body=msgspec.json.encode(await self.page()), content_type="application/json")

    async def page(self) -> AccountPage:
        """Return how each account stands, what all of them may wait for, and what is not told of any."""
        return AccountPage(
            accounts=await self.statuses(),
            open_transactions=[_transaction(one) for one in self.following.open_transactions],
            unread=self.following.unread,
        )

    async def statuses(self) -> list[AccountStatus]:
        """Return how each account stands."""
        groups = [target.group_id(self.names.prefix) for target in self.targets]
        active, behind = await asyncio.gather(self._active(groups), asyncio.gather(*map(self._behind, groups)))
        return [
            self._status(target, lag, None if active is None else group in active)
            for target, group, lag in zip(self.targets, groups, behind, strict=True)
        ]

    def _status(self, target: Target, behind: int | None, has_consumer: bool | None) -> AccountStatus:
        state, losses = self.states.of(target), self.states.losses_of(target)
        return account_status(target, state, losses, datetime.now(UTC), behind=behind, has_consumer=has_consumer)

    async def _active(self, groups: Sequence[str]) -> set[str] | None:
        try:
            return await groups_with_members(self.kafka, groups)
        except KafkaUnreachableError:
            return None

    async def _behind(self, group: str) -> int | None:
        try:
            return await backlog(self.kafka, group, self.names.batches, self.following.log_id)
        except KafkaUnreachableError:
            return None


def _transaction(one: OpenTransaction) -> TransactionStatus:
    return TransactionStatus(partition=one.partition, offset=one.offset, since=one.since)
