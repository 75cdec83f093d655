"""The HTTP library's connections, with its refusals in our form and none of its echoes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import BadHttpMethod, BadStatusLine, InvalidURLError, LineTooLong

from producer.answers import BUG, failure
from producer.bugs import log_bug
from producer.transport.expect_header import RequestFactory, without_expect
from producer.transport.lingering import Lingering

log = structlog.get_logger()

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

HTTPS = "request: this is HTTPS, where HTTP is spoken; use http://, or the port of your proxy"
URL = "request: its path or query has characters that must be percent-encoded"
TOO_LONG = "request: the path with its query, and each header, may have 8190 bytes"
NO_HTTP = "request: this is no HTTP/1.1; check the request line, and that Content-Length counts all bytes of the body"
BROKEN = (
    "request: it can't be read; check its headers, its chunks, and that Content-Length counts all bytes of the body"
)


class Connections(web.Server):
    """Makes connections. What is left of a body behind an answer is read and thrown away."""

    def __init__(
        self, handler: Handler, factory: RequestFactory, lingering: Lingering, *, keepalive_timeout: float
    ) -> None:
        super().__init__(_lingering_behind(handler, lingering), request_factory=without_expect(_noting_body(factory)))
        self._lingering = lingering
        self._keepalive = keepalive_timeout

    def __call__(self) -> "Connection":
        """Return a new connection."""
        return Connection(self, self._lingering, keepalive_timeout=self._keepalive)


def _lingering_behind(handler: Handler, lingering: Lingering) -> Handler:
    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        response = await handler(request)
        if not request.content.is_eof():
            try:
                await response.prepare(request)
                await response.write_eof()
            except ConnectionError:
                return response
            await lingering.drain(request.content.iter_any())
        return response

    return handle


def _noting_body(make: RequestFactory) -> RequestFactory:
    def make_request(
        message: RawRequestMessage, payload: StreamReader, protocol: web.RequestHandler, *rest: object
    ) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            protocol.body = payload
        return make(message, payload, protocol, *rest)

    return make_request


class Connection(web.RequestHandler):
    """A connection. Where something can't be read, what comes behind it is thrown away."""

    __slots__ = ("_gone", "_is_broken", "_lingering", "body")

    def __init__(self, manager: web.Server, lingering: Lingering, *, keepalive_timeout: float) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=keepalive_timeout,
            access_log=None,  # type: ignore[arg-type] # how it is told that there is none
            lingering_time=0,  # ours is within the handler, where a client that leaves is noticed
            auto_decompress=False,
        )
        self._lingering = lingering
        self._is_broken = False
        self._gone = asyncio.Event()
        self.body: StreamReader | None = None

    def data_received(self, data: bytes) -> None:
        """Take bytes. Where they can't be read, whoever reads a body must not wait for its end."""
        if self._is_broken:
            return
        super().data_received(data)
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            self._is_broken = True
            for body in (self.body, *(body for _, body in self._messages)):
                if body is not None and not body.is_eof():
                    body.set_exception(web.RequestPayloadError())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note that the client is gone."""
        self._gone.set()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what came to no handler, or what a bug of ours ended; the connection is closed."""
        del message  # it quotes what was sent
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun")
        response: web.Response
        if status >= 500:
            log_bug(exc)
            response = failure(500, [BUG])
        else:
            log.info("Request refused.", status=status, why=_message_of(exc))
            response = _LastWord(failure(status, [_message_of(exc)]), self._linger)
        response.force_close()
        return response

    def log_exception(self, *args: object, **facts: object) -> None:
        """Log what kind of error it is and no more: its text may quote what was sent."""
        del args
        log_bug(facts.get("exc_info"))

    async def _linger(self) -> None:
        if self.transport is None or not self.transport.can_write_eof():
            return
        with suppress(OSError):  # of a client that has reset the connection
            self.transport.write_eof()
            await self._lingering.wait(self._gone)


class _LastWord(web.Response):
    """An answer behind which nothing can be read any more, until the client has it."""

    def __init__(self, answer: web.Response, linger: Callable[[], Awaitable[None]]) -> None:
        super().__init__(body=answer.body, status=answer.status, content_type=answer.content_type)
        self._linger = linger

    async def write_eof(self, data: bytes = b"") -> None:
        """Write the rest, and wait."""
        await super().write_eof(data)
        await self._linger()


def _message_of(error: BaseException | None) -> str:
    """Return what is wrong, in our words."""
    if isinstance(error, LineTooLong):
        return TOO_LONG
    if isinstance(error, InvalidURLError):
        return URL
    if isinstance(error, BadHttpMethod):
        return HTTPS if "HTTPS" in error.message else NO_HTTP
    return NO_HTTP if isinstance(error, BadStatusLine) else BROKEN
