"""Answer an upload that is written; a sync one once the platforms are through with it."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from aiohttp import web

from ledger.queries import Queries
from ledger.view_updater import Following, ViewAwayError
from producer.access import own_origin
from producer.answers import RETRY_AFTER, Refused, failure, success
from producer.request.unknown_names import total
from producer.settings import ServerSettings
from producer.upload.sync_results import Outcomes, Result
from producer.upload.writing import Written
from schemas.metrics.registry import Observed
from schemas.target import Target
from streams.client.errors import KafkaUnreachableError
from streams.cluster.open_transactions import OpenTransaction, holding_up
from streams.cluster.topics import TopicNames

log = structlog.get_logger()

NO_ACCOUNT = "accounts: none is configured on this server, so that nobody gets this batch; set AUDIENCE_PROVIDERS"

MembersOf = Callable[[Collection[str]], Coroutine[Any, Any, set[str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """Answers uploads."""

    settings: ServerSettings
    targets: Sequence[Target]
    names: TopicNames
    following: Following
    queries: Queries
    outcomes: Outcomes
    groups_with_members: MembersOf
    sync_wait: Observed

    async def answer(self, written: Written, request: web.Request, deadline: float) -> web.Response:
        """Answer an upload, a sync one by `deadline`, a time of the loop's clock. Raises Refused."""
        path = f"/audience/batches/{written.stands.batch_id}"
        headers = {
            "X-Batch-Id": written.stands.batch_id,
            "Location": f"{self.settings.public_url or ''}{path}",
            "X-Ignored-Count": str(total(written.ignored)),
        }
        if not written.request.sync:
            return success(_details(written), headers)
        results = await self._results(written, deadline, headers)
        held = holding_up(written.stands.origins, self.queries.open_transactions())
        return await self._finished(written, results, headers, f"{self._base(request)}{path}", held)

    def _base(self, request: web.Request) -> str:
        """Return what paths in texts are built on: nothing where clients may come by another address than ours."""
        if self.settings.public_url is not None:
            return self.settings.public_url
        return "" if self.settings.tokens else own_origin(request)

    async def _results(self, written: Written, deadline: float, headers: dict[str, str]) -> list[Result]:
        """Return what the targets did with an upload by then. Raises Refused where the view is away."""
        try:
            return await self._awaited(written, deadline)
        except ViewAwayError as error:
            message = f"sync: accepted, but {error}; send the same again, or look at the status later"
            raise Refused(failure(503, [message], RETRY_AFTER | headers, **_details(written)), message) from None

    async def _awaited(self, written: Written, deadline: float) -> list[Result]:
        targets = [target for target in self.targets if target.is_meant_by(written.request.channels)]
        clock = asyncio.get_running_loop().time
        begun = clock()
        with self.following.changes.watched([written.stands.batch_id]) as changed:
            results = await self.outcomes.wait(written.stands.origins, targets, changed, deadline - begun)
        self.sync_wait.observe(clock() - begun)
        return results

    async def _finished(
        self,
        written: Written,
        results: list[Result],
        headers: Mapping[str, str],
        place: str,
        held: OpenTransaction | None,
    ) -> web.Response:
        """Answer a sync request: details where they are wanted, and what explains that nobody was accepted."""
        extra = _details(written)
        if written.request.detail:
            extra["results"] = [result.as_json() for result in results]
        failed = [result for result in results if result.is_failure]
        waiting = [result for result in results if not result.is_failure and not result.is_complete]
        log.info("Upload ended.", batch_id=written.stands.batch_id, failed=len(failed), unfinished=len(waiting))
        if not results:
            return failure(400, [NO_ACCOUNT], headers, **extra)
        if not failed and not waiting:
            return success(extra, headers)
        errors = [f"{result.target}: {result.why()}" for result in failed]
        errors += await self._unfinished(place, [result.target for result in waiting], held)
        errors += [f"ignored: {one}" for one in written.ignored if one.did_you_mean] if failed else []
        return failure(400 if failed else 504, errors, headers, **extra)

    async def _unfinished(self, place: str, targets: list[Target], held: OpenTransaction | None) -> list[str]:
        if held is not None:
            why = f"waits for a publisher's transaction, open since {held.since.isoformat(timespec='seconds')}"
            return [f"{target}: {why} at {held.origin}; see {place}" for target in targets]
        if not targets:
            return []
        groups = {target: target.group_id(self.names.prefix) for target in targets}
        try:
            active = await self.groups_with_members(groups.values())
        except KafkaUnreachableError:  # the batch is accepted all the same
            active = set(groups.values())
        words = {True: "still in progress", False: "no consumer is running"}
        return [f"{target}: {words[groups[target] in active]}; see {place}" for target in targets]


def _details(written: Written) -> dict[str, object]:
    """Return what an answer says besides where details are wanted; names that nobody knows where there are some."""
    if not written.request.detail:
        return {}
    ignored = {"ignored": msgspec.to_builtins(written.ignored)} if written.ignored else {}
    return {"batchId": written.stands.batch_id, **ignored}
