"""The status endpoints: what became of batches and sessions, read from the view."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar, get_args

import msgspec
from aiohttp import web

from ledger.cursors import CursorError
from ledger.queries import Choice, Filters, Queries
from ledger.rejected_csv import rejected_csv
from ledger.resources import (
    TERMINAL,
    BatchPage,
    BatchStatus,
    RejectedPage,
    SessionPage,
    SessionRejectedPage,
    SessionStatus,
    State,
)
from ledger.view_updater import Following, ViewAwayError
from producer.answers import RETRY_AFTER, Refused, refused
from producer.request.client_names import MODES
from producer.request.numbers import session_id_text
from producer.request.query_names import wrong_names
from schemas.human_times import parse_when
from schemas.records import AudienceType, Mode

LONGEST_WAIT = 300.0
PAGE = 20
LARGEST_PAGE = 100
REJECTED_PAGE, LARGEST_REJECTED_PAGE = 1_000, 10_000
"""Rejected users on a page, unless `limit` says otherwise, and at most."""

FileFormat = Literal["json", "csv"]

PAGING = ("format", "limit", "cursor")
LIST_FILTERS = ("name", "type", "state", "since", "limit", "cursor")
CHOICES = ("name", "type", "mode")
"""By which one of several audiences under a session's id is chosen."""

REST = 3
"""Times as long as reading took until who waits is read for again: a large session changes with each record."""

LONGEST_REST = 1.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statuses:
    """Handlers of `GET /audience/sessions` and `/audience/batches`."""

    following: Following
    queries: Queries

    def routes(self) -> list[web.RouteDef]:
        """Return the paths and their handlers."""
        return [
            web.get("/audience/sessions", self.sessions, allow_head=False),
            web.get("/audience/sessions/{session_id}", self.session, allow_head=False),
            web.get("/audience/sessions/{session_id}/rejected", self.session_rejected, allow_head=False),
            web.get("/audience/batches", self.batches, allow_head=False),
            web.get("/audience/batches/{batch_id}", self.batch, allow_head=False),
            web.get("/audience/batches/{batch_id}/rejected", self.rejected, allow_head=False),
        ]

    async def batch(self, request: web.Request) -> web.Response:
        """Tell how a batch stands; `wait` returns earlier once all is over."""
        batch_id = request.match_info["batch_id"].lower()

        def is_over(status: BatchStatus) -> bool:
            return status.state in TERMINAL

        faults = wrong_names(request, "wait")
        return await self._answer(request, lambda: self.queries.batch(batch_id), is_over, [batch_id], faults)

    async def session(self, request: web.Request) -> web.Response:
        """Tell how all runs of a session stand; `wait` returns earlier once all of the newest is over."""
        session_id = session_id_text(request.match_info["session_id"])
        chosen, faults = _chosen(request)

        def is_over(status: SessionStatus) -> bool:
            return status.runs[0].state in TERMINAL

        faults += wrong_names(request, *CHOICES, "wait")
        return await self._answer(request, lambda: self.queries.session(session_id, chosen), is_over, None, faults)

    async def rejected(self, request: web.Request) -> web.Response:
        """List the rejected users of a batch by index, field, reason and remedy."""
        batch_id = request.match_info["batch_id"].lower()
        faults = wrong_names(request, *PAGING)
        return await self._rejected(request, lambda *page: self.queries.rejected(batch_id, *page), faults)

    async def session_rejected(self, request: web.Request) -> web.Response:
        """List the rejected users of the newest run of a session."""
        session_id = session_id_text(request.match_info["session_id"])
        chosen, faults = _chosen(request)
        faults += wrong_names(request, *CHOICES, *PAGING)
        return await self._rejected(
            request, lambda cursor, most: self.queries.session_rejected(session_id, cursor, most, chosen), faults
        )

    async def _rejected(
        self,
        request: web.Request,
        read: Callable[[str | None, int], RejectedPage | SessionRejectedPage | None],
        faults: list[str],
    ) -> web.Response:
        form = _choice(request, "format", get_args(FileFormat), faults)
        most = _number(request, "limit", REJECTED_PAGE, LARGEST_REJECTED_PAGE, faults, least=1)
        if faults:
            raise refused(400, *faults)
        cursor = request.query.get("cursor")
        self._check_ready()
        page = await self._read(lambda: read(cursor, int(most)))
        if page is None:
            raise _unknown()
        return _csv(page) if form == "csv" else _json(page)

    async def sessions(self, request: web.Request) -> web.Response:
        """List sessions, the newest first."""
        return await self._listed(request, self.queries.sessions)

    async def batches(self, request: web.Request) -> web.Response:
        """List batches that no session tells, the newest first."""
        return await self._listed(request, self.queries.batches)

    async def _listed(
        self, request: web.Request, read: Callable[[Filters, str | None, int], SessionPage | BatchPage]
    ) -> web.Response:
        filters, faults = _filters(request)
        faults += wrong_names(request, *LIST_FILTERS)
        most = _number(request, "limit", PAGE, LARGEST_PAGE, faults, least=1)
        if faults:
            raise refused(400, *faults)
        cursor = request.query.get("cursor")
        self._check_ready()
        return _json(await self._read(lambda: read(filters, cursor, int(most))))

    async def _read(self, read: Callable[[], T]) -> T:
        """Return what is read from the view. Raises Refused where there is none."""
        try:
            return await self.following.ask(read)
        except ViewAwayError as error:
            raise refused(503, f"status: {error}; come again", headers=RETRY_AFTER) from None
        except CursorError:
            raise refused(400, "cursor: leave it out to begin, or send the one that `next` named") from None

    def _check_ready(self) -> None:
        if self.following.absence is not None:
            raise refused(503, f"status: {self.following.absence}; come again", headers=RETRY_AFTER)
        if not self.following.is_ready:
            raise refused(503, f"status: {self.following.building}; come again", headers=RETRY_AFTER)

    async def _answer(
        self,
        request: web.Request,
        read: Callable[[], T | None],
        is_over: Callable[[T], bool],
        batch_ids: Collection[str] | None,
        faults: list[str],
    ) -> web.Response:
        """Answer with what `read` returns, with `wait` not before it is over or the time is. Raises Refused."""
        wait = _number(request, "wait", 0, LONGEST_WAIT, faults)
        if faults:
            raise refused(400, *faults)
        self._check_ready()
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        with self.following.changes.watched(batch_ids) as changed:
            while True:
                changed.clear()
                begun = loop.time()
                found = await self._read(read)
                took = loop.time() - begun
                left = until - loop.time()
                if left <= 0 or (found is not None and is_over(found)):
                    break
                try:
                    async with asyncio.timeout(left):
                        await asyncio.sleep(min(LONGEST_REST, REST * took))
                        await changed.wait()
                except TimeoutError:
                    until = loop.time()
        if found is None:
            raise _unknown()
        return _json(found)


def _unknown() -> Refused:
    return refused(404, "path: nothing is known of that id, which may have left the log")


def _csv(page: RejectedPage | SessionRejectedPage) -> web.Response:
    """Answer with a page as a file of its own; headers tell what is not in it."""
    headers = {"X-Unlisted-Count": str(page.unlisted), "Content-Disposition": 'attachment; filename="rejected.csv"'}
    if page.next is not None:
        headers["X-Next-Cursor"] = page.next
    return web.Response(text=rejected_csv(page.rejected), content_type="text/csv", charset="utf-8", headers=headers)


def _json(body: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")


def _number(
    request: web.Request, name: str, default: float, most: float, faults: list[str], *, least: float = 0
) -> float:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not least <= number <= most:
        faults.append(f"{name}: send a number from {least:g} to {most:g}")
    return number


def _filters(request: web.Request) -> tuple[Filters, list[str]]:
    faults: list[str] = []
    state = _choice(request, "state", get_args(State), faults)
    kind = _type(request, faults)
    filters = Filters(name=request.query.get("name"), type=kind, state=state, since=_since(request, faults))
    return filters, faults


def _chosen(request: web.Request) -> tuple[Choice, list[str]]:
    """Return which of the audiences under a session's id are asked for, and what is wrong with that."""
    faults: list[str] = []
    mode = _choice(request, "mode", MODES, faults)
    known_mode: Mode | None = "remove" if mode == "remove" else "add" if mode else None
    return Choice(name=request.query.get("name"), type=_type(request, faults), mode=known_mode), faults


def _type(request: web.Request, faults: list[str]) -> AudienceType | None:
    kind = _choice(request, "type", get_args(AudienceType), faults)
    return "primary" if kind == "primary" else "custom" if kind else None


def _choice(request: web.Request, name: str, allowed: Sequence[str], faults: list[str]) -> str | None:
    text = request.query.get(name)
    if text is not None and text not in allowed:
        faults.append(f"{name}: send one of {', '.join(allowed)}")
    return text


def _since(request: web.Request, faults: list[str]) -> datetime | None:
    text = request.query.get("since")
    if text is None:
        return None
    try:
        return parse_when(text, datetime.now(UTC))
    except ValueError as error:
        faults.append(f"since: {error}")
        return None
