"""Signing in with a token, and out."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import SecretStr

from console.cookies import LASTS, NAME, signed
from console.identity import first_segment, identity_of, is_of_own_page, is_over_tls, is_own
from console.pages import Pages
from console.rendering import HEADERS
from producer.access import is_one_of
from producer.answers import Refused
from producer.settings import ServerSettings

MOST_FAILED = 10
WITHIN = timedelta(minutes=1)
"""So many sign-ins may fail at a node in this time; then it looks at none for a while."""

MOST_BYTES = 8 * 1024
"""Of a form with a token."""

FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class FailedSignIns:
    """The last failed sign-ins of all who tried at this node."""

    times: deque[datetime] = field(default_factory=lambda: deque(maxlen=MOST_FAILED))

    def note(self, now: datetime) -> None:
        """Note one more."""
        self.times.append(now)

    def wait(self, now: datetime) -> timedelta:
        """Return for how long no token is looked at any more; nothing, if one may be tried."""
        if len(self.times) < MOST_FAILED:
            return timedelta()
        return max(timedelta(), self.times[0] + WITHIN - now)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """Handlers of the form, of what it sends, and of the way out."""

    pages: Pages
    failed: FailedSignIns = field(default_factory=FailedSignIns)

    @property
    def settings(self) -> ServerSettings:
        """The settings of the server."""
        return self.pages.opened.settings

    def routes(self) -> list[web.RouteDef]:
        """Return the paths and their handlers."""
        return [
            web.get("/sign-in", self.form, allow_head=False),
            web.post("/sign-in", self.enter),
            web.post("/sign-out", self.leave),
        ]

    async def form(self, request: web.Request) -> web.Response:
        """Show the form, or go on where it is not needed."""
        if identity_of(request, self.settings, self._now()).may_look:
            return web.Response(status=303, headers={**HEADERS, "Location": _following(request)})
        return await self._shown(request, 200)

    async def enter(self, request: web.Request) -> web.Response:
        """Give who knows a token a cookie, and go on to the page that was asked for."""
        if not is_of_own_page(request, self.settings):
            return await self._shown(request, 403, "Open this page itself and sign in there.")
        if wait := self.failed.wait(self._now()):
            seconds = int(wait.total_seconds()) + 1
            text = f"Too many sign-ins failed here. Try again in {seconds} seconds."
            return await self._shown(request, 429, text, {"Retry-After": str(seconds)})
        token = await self._token(request)
        if token is None:
            self.failed.note(self._now())
            return await self._shown(request, 401, "This is none of the server's tokens.")
        response = web.Response(status=303, headers={**HEADERS, "Location": _following(request)})
        self._put(request, response, signed(token, self._now()), int(LASTS.total_seconds()))
        return response

    async def leave(self, request: web.Request) -> web.Response:
        """Take the cookie away."""
        if not is_of_own_page(request, self.settings):
            return await self._shown(request, 403, "Open a page of the console and sign out there.")
        response = web.Response(status=303, headers={**HEADERS, "Location": "/sign-in"})
        self._put(request, response, "", 0)
        return response

    def _put(self, request: web.Request, response: web.Response, value: str, seconds: int) -> None:
        response.set_cookie(
            NAME,
            value,
            max_age=seconds,
            path="/",
            httponly=True,
            samesite="Strict",
            secure=is_over_tls(request, self.settings),
        )

    async def _token(self, request: web.Request) -> SecretStr | None:
        """Return the token that was sent, if it is one."""
        if request.content_type != FORM or (request.content_length or MOST_BYTES + 1) > MOST_BYTES:
            return None
        try:
            async with asyncio.timeout(self.settings.body_timeout):
                body = await request.read()
        except TimeoutError:
            return None
        text = dict(parse_qsl(body.decode(errors="replace"))).get("token", "").strip()
        known: Sequence[SecretStr] = (*self.settings.tokens, *self.settings.read_tokens)
        return SecretStr(text) if is_one_of(text, known) else None

    async def _shown(
        self, request: web.Request, status: int, why: str = "", headers: dict[str, str] | None = None
    ) -> web.Response:
        response = await self.pages.shown(request, "sign_in.html", status, why=why, following=_following(request))
        response.headers.update(headers or {})
        return response

    def _now(self) -> datetime:
        return self.pages.readings.queries.now()


def to_sign_in(request: web.Request) -> Refused:
    """Return what sends somebody to the form, and then to the page that they asked for."""
    where = request.rel_url.with_path("/sign-in").with_query(next=request.path_qs)
    return Refused(web.Response(status=303, headers={**HEADERS, "Location": str(where)}), "not signed in")


def signed_out(pages: Pages, request: web.Request) -> Refused:
    """Return what tells somebody whose form came too late: nobody is led on from it, as what it held would be lost."""
    text = "You are signed out here, so nothing was sent. Sign in in another tab, then go back and do the same again."
    return Refused(pages.problem_at_once(request, 401, "Nothing was done", text), "not signed in")


def _following(request: web.Request) -> str:
    """Return which page of ours is to come; nobody is sent anywhere else."""
    text = request.query.get("next", "/")
    path = text.partition("?")[0]
    is_safe = is_own(path) and text.isascii() and text.isprintable()
    return text if is_safe and "\\" not in text and first_segment(path) not in ("sign-in", "sign-out") else "/"
