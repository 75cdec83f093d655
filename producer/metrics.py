"""`GET /metrics` of the endpoint, and what it counts and reads for that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ledger.status import account_status
from ledger.view_updater import Following
from producer.health import Health
from producer.request.query_names import refuse_names
from producer.transport.body_budget import Budget
from schemas.metrics.definitions import (
    ACCOUNT_BLOCKED,
    ACCOUNT_STATE,
    BODY_BUDGET,
    BODY_BUDGET_USED,
    LOST_RECORDS,
    OTHER,
    REQUESTS,
    STATES,
    UPLOADED_BYTES,
    VIEW_AGE,
    word_of,
)
from schemas.metrics.registry import CONTENT_TYPE, Metrics, Sample
from schemas.target import Target
from streams.cluster.process_samples import process_samples
from streams.tables.account_states import States


def exposing(metrics: Metrics) -> list[web.RouteDef]:
    """Return the path of the metrics and its handler."""

    async def expose(request: web.Request) -> web.Response:
        refuse_names(request)
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    return [web.get("/metrics", expose, allow_head=False)]


def counting(metrics: Metrics) -> Middleware:
    """Return what counts requests, as they are answered in the end."""
    requests = metrics.counted(REQUESTS)

    @web.middleware
    async def counted(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        resource = request.match_info.route.resource
        requests.add(OTHER if resource is None else resource.canonical, str(response.status))
        return response

    return counted


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSamples:
    """How the endpoint stands, and the accounts as it knows of them."""

    health: Health
    budget: Budget
    following: Following
    targets: Sequence[Target]
    states: States

    def __call__(self) -> Iterator[Sample]:
        """Yield how things stand now."""
        yield from process_samples(self.health.writer, is_ready=self.health.standing.is_ready)
        yield Sample(UPLOADED_BYTES, self.budget.received)
        yield Sample(BODY_BUDGET, self.budget.size)
        yield Sample(BODY_BUDGET_USED, self.budget.used)
        now = datetime.now(UTC)
        yield Sample(VIEW_AGE, self.following.age(now))
        for target in self.targets:
            yield from self._of_account(target, now)

    def _of_account(self, target: Target, now: datetime) -> Iterator[Sample]:
        labels, losses = (target.provider, str(target)), self.states.losses_of(target)
        found = account_status(target, self.states.of(target), losses, now, behind=None, has_consumer=None)
        for state in STATES:
            yield Sample(ACCOUNT_STATE, found.state == state, (*labels, state))
        if found.state == "blocked":
            yield Sample(ACCOUNT_BLOCKED, 1, (*labels, word_of(found.error.code if found.error else None)))
        yield Sample(LOST_RECORDS, sum(loss.records for loss in losses), labels)
