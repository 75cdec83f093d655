"""The handlers of the pages that only look."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, get_args

from aiohttp import web
from jinja2 import Environment

from console import ladder
from console.attention import concerns, name_of, session_link
from console.batch_grid import batch_grid
from console.decisions import decisions
from console.identity import Identity, identity_of
from console.readings import AT_ONCE, MOST_DECISIONS, Readings, is_quarantined
from console.rendering import HEADERS, html
from ledger.cursors import CursorError
from ledger.queries import Choice, Filters
from ledger.rejected_csv import rejected_csv
from ledger.resources import State
from ledger.view_updater import ViewAwayError
from producer.additions import Opened
from schemas.error_words import VOCABULARY
from schemas.records import AudienceType, Mode

T = TypeVar("T")

CSV_PAGE = 10_000
"""Rejected users that are read at once for a file."""

LONGEST_SEARCH = 255

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


class MissingError(Exception):
    """Nothing is known of what the page was to be of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Handlers of everything that is only looked at."""

    opened: Opened
    readings: Readings
    templates: Environment

    def routes(self) -> list[web.RouteDef]:
        """Return the paths and their handlers."""
        pages: Sequence[tuple[str, Page]] = (
            ("/", self.overview),
            ("/sessions", self.sessions),
            ("/sessions/{session_id}", self.session),
            ("/sessions/{session_id}/rejected.csv", self.rejected),
            ("/accounts", self.accounts),
            ("/audiences", self.audiences),
            ("/dead-letters", self.dead_letters),
            ("/decisions", self.decisions),
        )
        return [web.get(path, self.told(page), allow_head=False) for path, page in pages]

    def told(self, page: Page) -> Page:
        """Return a handler that tells on a page of its own why there is no other."""

        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                self._check_ready()
                return await page(request)
            except ViewAwayError as error:
                return await self.problem(request, 503, "The view is not there yet", f"{error}.")
            except CursorError:
                return await self.problem(request, 400, "No such page of the list", "Begin at the newest sessions.")
            except MissingError:
                return await self.problem(
                    request, 404, "Nothing is known of this", "It may have left the log, or never have been there."
                )

        return handler

    async def problem(self, request: web.Request, status: int, title: str, text: str) -> web.Response:
        """Return a page that says what is wrong."""
        return await self.shown(request, "problem.html", status=status, title=title, text=text)

    def problem_at_once(self, request: web.Request, status: int, title: str, text: str) -> web.Response:
        """Return the same where nobody can wait."""
        return self._made(request, "problem.html", status, {"title": title, "text": text})

    async def shown(self, request: web.Request, template: str, status: int = 200, **values: object) -> web.Response:
        """Return a page made of a template, on another thread: a large session's takes some milliseconds."""
        return await asyncio.to_thread(self._made, request, template, status, values)

    def _made(self, request: web.Request, template: str, status: int, values: Mapping[str, object]) -> web.Response:
        known = {"path": request.path, "identity": self.identity(request), **values}
        return html(self.templates.get_template(template).render(known), status)

    def identity(self, request: web.Request) -> Identity:
        """Return who looks."""
        return identity_of(request, self.opened.settings, self.readings.queries.now())

    def _check_ready(self) -> None:
        following = self.opened.following
        if not following.is_ready:
            raise ViewAwayError(following.absence or following.building)

    async def _read(self, read: Callable[[], T]) -> T:
        return await self.opened.following.ask(read)

    async def overview(self, request: web.Request) -> web.Response:
        """Show the accounts, what is under way, and what needs a person."""
        page, found = await asyncio.gather(self.opened.accounts.page(), self._read(self.readings.overview))
        return await self.shown(
            request,
            "overview.html",
            accounts=page.accounts,
            found=found,
            concerns=concerns(page, found),
            name_of=name_of,
            session_link=session_link,
            ladder=ladder,
        )

    async def accounts(self, request: web.Request) -> web.Response:
        """Show how each account stands, and what to do where it does not run."""
        page, speeds = await asyncio.gather(self.opened.accounts.page(), self._read(self.readings.speeds))
        return await self.shown(request, "accounts.html", page=page, speeds=speeds, name_of=name_of)

    async def sessions(self, request: web.Request) -> web.Response:
        """List sessions, the newest first."""
        query = request.query
        search = query.get("search", "").strip()[:LONGEST_SEARCH]
        state = query.get("state") if query.get("state") in get_args(State) else None
        filters = Filters(search=search or None, type=_type(query.get("type")), state=state)
        cursor = query.get("cursor")
        page = await self._read(lambda: self.readings.queries.sessions(filters, cursor, AT_ONCE))
        return await self.shown(
            request,
            "sessions.html",
            page=page,
            filters=filters,
            is_first=cursor is None,
            states=get_args(State),
            session_link=session_link,
        )

    async def session(self, request: web.Request) -> web.Response:
        """Show one run of a session."""
        session_id, chosen = _session(request)
        number = request.query.get("run", "0")
        if not number.isdecimal() or len(number) > 6:
            raise MissingError
        found = await self._read(lambda: self.readings.session(session_id, chosen, int(number)))
        if found is None:
            raise MissingError
        return await self.shown(
            request,
            "session.html",
            found=found,
            grid=batch_grid(found.run),
            ladder=ladder,
            chosen=(chosen_text := request.rel_url.without_query_params("run").raw_query_string),
            file=f"{request.rel_url.raw_path}/rejected.csv?{chosen_text}",
        )

    async def rejected(self, request: web.Request) -> web.StreamResponse:
        """Send all rejected users of the newest run as a file: indexes and reasons, no values."""
        session_id, chosen = _session(request)
        texts, cursor = list[str](), None
        while True:
            page = await self._read(
                lambda after=cursor: self.readings.queries.session_rejected(session_id, after, CSV_PAGE, chosen)  # type: ignore[misc] # mypy cannot infer the type of a lambda with a default
            )
            if page is None:
                raise MissingError
            texts.append(rejected_csv(page.rejected, header=not texts))
            if (cursor := page.next) is None:
                break
        headers = {**HEADERS, "Content-Disposition": 'attachment; filename="rejected.csv"'}
        return web.Response(text="".join(texts), content_type="text/csv", charset="utf-8", headers=headers)

    async def audiences(self, request: web.Request) -> web.Response:
        """List audiences by their last upload."""
        text = request.query.get("after", "0")
        after = int(text) if text.isdecimal() and len(text) < 10 else 0
        found = await self._read(lambda: self.readings.audiences(after))
        return await self.shown(
            request,
            "audiences.html",
            audiences=found[:AT_ONCE],
            targets=self.readings.targets,
            following=after + AT_ONCE if len(found) > AT_ONCE else None,
            is_first=not after,
        )

    async def dead_letters(self, request: web.Request) -> web.Response:
        """List what was given up, and records that nobody can use."""
        found = await self._read(self.readings.dead_letters)
        return await self.shown(
            request, "dead_letters.html", found=found, vocabulary=VOCABULARY, is_quarantined=is_quarantined
        )

    async def decisions(self, request: web.Request) -> web.Response:
        """List the newest decisions, as the topics tell them."""
        ends = await self._read(self.readings.ends)
        states, targets = self.opened.states, self.readings.queries.targets
        found = decisions(
            ends,
            [state for target in targets if (state := states.of(target))],
            [loss for target in targets for loss in states.losses_of(target)],
            MOST_DECISIONS,
        )
        return await self.shown(request, "decisions.html", decisions=found)


def _session(request: web.Request) -> tuple[str, Choice]:
    """Return which session is asked for; what chooses among audiences and is no such word chooses nothing."""
    query = request.query
    mode: Mode | None = "remove" if query.get("mode") == "remove" else "add" if query.get("mode") == "add" else None
    return request.match_info["session_id"], Choice(name=query.get("name"), type=_type(query.get("type")), mode=mode)


def _type(text: str | None) -> AudienceType | None:
    return "primary" if text == "primary" else "custom" if text == "custom" else None
