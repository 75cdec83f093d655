"""The page's handlers: a form, a look at a file without keeping it, and the same file sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from secrets import randbelow
from types import MappingProxyType

import structlog
from aiohttp import web

from console.formats import number, path_part
from console.identity import is_of_own_page
from console.pages import Page, Pages
from console.rendering import HEADERS
from console.upload.files import FIELD_WORDS, Choices, Files, Outgoing, UnusableFileError, fingerprint, seen
from console.upload.form import (
    COMMAND,
    MOST_SESSION,
    TEXTS,
    ProblemError,
    UploadForm,
    declared_length,
    most_in_words,
    most_of_file,
    read_upload,
    too_large,
)
from console.upload.sending import EndedEarlyError, Progress, Sending
from producer.answers import RETRY_AFTER, Refused
from producer.settings import ServerSettings
from producer.transport.body_budget import Room
from producer.upload.handler import Uploads

log = structlog.get_logger()

AT_ONCE = 2
"""Files that a node reads at once: their rows are made where requests are answered, too."""

LINES = "application/x-ndjson"
RETRY = int(RETRY_AFTER["Retry-After"])

NO_CLIENT = (
    "This server can't read files, as the package audience-client is not installed beside it. "
    "Where it is, the command uploads them:"
)
ONLY_LOOKS = "Who signed in with a token that may only look uploads nothing. Sign in with another token to upload."
SEND_AGAIN = "Send it again from this page, as it is: what is in the log already counts once."
CHANGED = "The file, or what is said of it here, is not what was looked at. Look at it again, then send it."


@dataclass(slots=True)
class Slots:
    """Places for files that are read at once."""

    free: int = AT_ONCE

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take a place while the block is entered. Raises ProblemError."""
        if not self.free:
            text = "Other files are being looked at and sent here just now. Try again in a moment."
            raise ProblemError(503, text, retry_after=RETRY)
        self.free -= 1
        try:
            yield
        finally:
            self.free += 1


@dataclass(frozen=True, slots=True)
class Received:
    """A form that came, and what it holds of the budget."""

    form: UploadForm
    room: Room


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPage:
    """Handlers of the page; `files` is None where nobody here can read any."""

    pages: Pages
    files: Files | None
    slots: Slots = field(default_factory=Slots)

    @property
    def settings(self) -> ServerSettings:
        """The settings of the server."""
        return self.pages.opened.settings

    def routes(self) -> list[web.RouteDef]:
        """Return the paths and their handlers."""
        return [
            web.get("/upload", self.show, allow_head=False),
            web.post("/upload/look", self._telling(self.look)),
            web.post("/upload/send", self._telling(self.send)),
        ]

    async def show(self, request: web.Request) -> web.Response:
        """Show the form, or why there is none."""
        if not self.pages.identity(request).may_upload:
            return await self._shown(request, ProblemError(200, ONLY_LOOKS))
        if self.files is None:
            return await self._shown(request, ProblemError(200, NO_CLIENT, takes_command=True))
        return await self._shown(request)

    async def look(self, request: web.Request) -> web.StreamResponse:
        """Say what a file would become; nothing is sent."""
        files = self._files(request)
        async with self._received(request) as received:
            form = received.form
            try:
                choices = form.choices()
                of_file = await asyncio.to_thread(fingerprint, form.file)
                look = await files.look(form.file, choices)
            except UnusableFileError as error:
                return await self._shown(request, ProblemError(400, str(error)), form.fields)
            except ProblemError as problem:
                return await self._shown(request, problem, form.fields)
        return await self._shown(
            request,
            None,
            form.fields,
            look=look,
            choices=choices,
            seen=seen(of_file, replace(choices, columns=look.as_chosen())),
            session=1 + randbelow(MOST_SESSION),
            unready=self._unready(choices),
        )

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Write what was looked at to the log, and lead to its session.

        The browser sends the file again, as nothing was kept. Once all of it is here the page is not needed any more:
        who closes it stops nothing.
        """
        files = self._files(request)
        async with self._received(request) as received:
            form, room, held = received.form, received.room, received.form.size
            choices, session = form.choices(), form.session()
            of_file = await asyncio.to_thread(fingerprint, form.file)
            if form.fields.get("seen") != seen(of_file, choices):
                raise ProblemError(409, CHANGED)
            if choices.mode == "remove" and form.fields.get("confirmed") != "remove":
                raise ProblemError(400, "Confirm that these users are to be taken out.")
            if unready := self._unready(choices):
                raise ProblemError(503, unready)
            try:
                outgoing = await files.outgoing(form.file, choices)
            except UnusableFileError as error:
                raise ProblemError(400, str(error)) from None
            with closing(outgoing):
                sending = Sending(uploads=self.uploads, request=request, settle=lambda more: room.settle(held + more))
                if LINES in request.headers.get("Accept", ""):
                    return await self._told(sending, outgoing, choices, session)
                if failure := await _failure(sending, outgoing, choices, session):
                    raise ProblemError(502, failure)
        return web.Response(status=303, headers={**HEADERS, "Location": _place(choices, session)})

    async def _told(self, sending: Sending, outgoing: Outgoing, choices: Choices, session: int) -> web.StreamResponse:
        """Send, and tell the page how far it is, line by line."""
        response = web.StreamResponse(headers={**HEADERS, "Content-Type": LINES, "X-Accel-Buffering": "no"})
        await response.prepare(sending.request)
        tell = Progress(response).tell
        await tell({"users": 0, "total": outgoing.users})
        failure = await _failure(replace(sending, tell=tell), outgoing, choices, session)
        await tell({"failed": failure} if failure else {"done": _place(choices, session)})
        return response

    @property
    def uploads(self) -> Uploads:
        """What takes uploads."""
        return self.pages.opened.uploads

    def _files(self, request: web.Request) -> Files:
        """Return who reads files. Raises ProblemError for who may not upload, and where nobody can read any."""
        if not is_of_own_page(request, self.settings):
            raise ProblemError(403, "Open this page itself and upload there.")
        if not self.pages.identity(request).may_upload:
            raise ProblemError(403, ONLY_LOOKS)
        if self.files is None:
            raise ProblemError(503, NO_CLIENT, takes_command=True)
        return self.files

    def _unready(self, choices: Choices) -> str:
        """Return why nobody can be taken out just now, nothing where all can be done."""
        if choices.mode == "remove":
            try:
                self.uploads.checker.removals.check()
            except Refused as refused:
                return _sentence(refused)
        return ""

    @asynccontextmanager
    async def _received(self, request: web.Request) -> AsyncIterator[Received]:
        """Yield a form while it is held. Raises ProblemError, Refused."""
        length = declared_length(request, self.settings)
        with self.slots.one(), self.uploads.budget.hold(length) as room:
            form = await read_upload(request, room, self.settings)
            try:
                yield Received(form, room)
            finally:
                with suppress(BufferError):  # a thread that nobody waits for any more still reads it
                    form.file.content.close()

    def _telling(self, page: Page) -> Page:
        """Return a handler that tells why there is no answer: on the page, or in a line where those are asked for."""

        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                return await page(request)
            except ProblemError as error:
                problem = error
            except Refused as refused:
                problem = ProblemError(refused.response.status, _sentence(refused), retry_after=RETRY)
            if LINES not in request.headers.get("Accept", ""):
                return await self._shown(request, problem)
            line = {"failed": problem.text}
            return web.json_response(line, status=problem.status, headers={**HEADERS, **_retry(problem)})

        return handler

    async def _shown(
        self,
        request: web.Request,
        problem: ProblemError | None = None,
        fields: Mapping[str, str] = MappingProxyType({}),
        **values: object,
    ) -> web.Response:
        identity = self.pages.identity(request)
        known: dict[str, object] = {"look": None, "choices": None, "seen": "", "session": 0, "unready": "", **values}
        response = await self.pages.shown(
            request,
            "upload.html",
            problem.status if problem else 200,
            problem=problem,
            is_open=identity.may_upload and self.files is not None,
            given={name: fields.get(name, "") for name in TEXTS},
            is_consented="consented" in fields,
            most=most_of_file(self.settings),
            most_in_words=most_in_words(self.settings),
            too_large=too_large(self.settings),
            command=COMMAND,
            field_words=FIELD_WORDS,
            **known,
        )
        response.headers.update(_retry(problem))
        return response


async def _failure(sending: Sending, outgoing: Outgoing, choices: Choices, session: int) -> str:
    """Send all batches; return why that ended early and what is in the log, nothing where all of it is."""
    try:
        await sending.run(outgoing, choices, session)
    except EndedEarlyError as error:
        log.info("Upload of a file ended early.", session=session, why=error.why, users=error.users)
        if not error.users:
            return f"Nothing of it is in the log: {error.why}."
        so_far = f"{number(error.users)} of {number(outgoing.users)} users are in the log, as session {session}"
        return f"It ended early: {error.why}. {so_far}. {SEND_AGAIN}"
    return ""


def _place(choices: Choices, session: int) -> str:
    """Return the path of a session's page."""
    return f"/sessions/{session}?name={path_part(choices.name)}&type={choices.type}&mode={choices.mode}"


def _sentence(refused: Refused) -> str:
    why = refused.why.partition(";")[0]
    return f"{why[:1].upper()}{why[1:]}."


def _retry(problem: ProblemError | None) -> Mapping[str, str]:
    return {"Retry-After": str(problem.retry_after)} if problem and problem.retry_after else {}
