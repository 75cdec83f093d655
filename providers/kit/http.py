"""Calls to one platform account over HTTP: base URL, slots, pace, time limit, transport failures."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeGuard, TypeVar

import aiohttp
import msgspec

from providers.kit.errors import PlatformError, platform_error
from providers.kit.pre_send_checks import run_pre_send_checks
from providers.kit.private_addresses import PrivateAddressError
from providers.kit.rate_limiter import Pace, Pause
from providers.kit.streamed_body import PIECE, StreamedBody, pieces_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call. `operation` names the platform's limit that it counts against; `body` is sent as it is.

    `secrets` names the headers and parameters that no person is to see.
    """

    operation: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | StreamedBody | None = field(default=None, repr=False)
    secrets: Collection[str] = ()

    def whole_body(self) -> bytes | None:
        """Return the body as it goes in the end."""
        return None if self.body is None else bytes(self.body)

    def url(self, base_url: str) -> str:
        """Return the URL without its query: the base URL itself, or with the platform's path behind it."""
        return base_url.rstrip("/") + self.path if self.path else base_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the platform said. Its text may quote users: never log it."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Return the body as JSON. Raises RetryError where it is none, as gateways answer in HTML."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self.unexpected() from None

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises RetryError where it is none."""
        decoded = self.json()
        if not isinstance(decoded, dict):
            raise self.unexpected()
        return decoded

    def read(self, kind: type[T]) -> T:
        """Return the body as a type. Raises RetryError where it is none of it."""
        try:
            return msgspec.json.decode(self.body, type=kind, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self.unexpected() from None

    def seconds(self, header: str) -> float | None:
        """Return a header that is a number from 0; None where it is none, a date included."""
        try:
            seconds = float(self.headers.get(header, ""))
        except ValueError:
            return None
        return seconds if 0 <= seconds < math.inf else None

    @property
    def is_gateways(self) -> bool:
        """Whether something in front of the platform answered: a challenge of Cloudflare, or a page for people."""
        is_page = self.headers.get("Content-Type", "").lower().startswith("text/html")
        return "cf-mitigated" in self.headers or is_page or self.body.lstrip()[:1] == b"<"

    def unexpected(self) -> PlatformError:
        """Return the error that says no more than that this is not what the platform documents."""
        code = "gateway_error" if self.status >= 500 or self.is_gateways else "unexpected_answer"
        return platform_error(code, platform_code=f"HTTP {self.status}")


class Transport(Protocol):
    """Whatever carries requests to a platform."""

    async def send(self, request: Request) -> Answer:
        """Send a request and return the answer, whatever its status.

        Raises RetryError: `unreachable` where nothing was sent, `no_answer` where the platform may have acted.
        """


RESENT = frozenset({"PUT", "DELETE"})
"""Methods of changes that the HTTP library sends once more by itself where the connection ends."""


class CallEndedError(aiohttp.ClientConnectionError):
    """The connection ended during a call, which the HTTP library must not repeat by itself."""


async def once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a call only once. Whether it may go again is decided by the consumer, which knows what came in between."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise CallEndedError from error


class HttpTransport:
    """Carries the requests of one account over a shared session."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        *,
        slots: asyncio.Semaphore,
        pace: Pace,
        timeout: float,
        pause_after: Callable[[Answer], Pause | None],
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._slots = slots
        self._pace = pace
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._pause_after = pause_after

    async def send(self, request: Request) -> Answer:
        """Wait for the pace and a free slot, then call; what the answer says of the use so far slows the pace.

        No slot is held while waiting, so that other operations can go on. Raises RetryError: `unreachable`,
        `no_answer`; StopError: `address_refused`; ThrottleError where the pace puts this operation off for long; what
        `run_pre_send_checks` raises.
        """
        answer = None
        while answer is None:
            await self._pace.ready(request.operation)
            async with self._slots:
                if self._pace.take(request.operation):
                    await run_pre_send_checks()
                    answer = await self._answer_to(request)
        if pause := self._pause_after(answer):
            self._pace.hold(pause.seconds, None if pause.is_account_wide else request.operation)
        return answer

    async def _answer_to(self, request: Request) -> Answer:
        try:
            return await self._call(request)
        except aiohttp.ClientHttpProxyError as error:
            raise platform_error("unreachable", platform_code=f"proxy HTTP {error.status}") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            is_private = isinstance(getattr(error, "os_error", None), PrivateAddressError)
            code = "address_refused" if is_private else "unreachable"
            raise platform_error(code, platform_code=type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise platform_error("no_answer", platform_code=type(error).__name__) from error

    async def _call(self, request: Request) -> Answer:
        async with self._session.request(
            request.method,
            request.url(self._base_url),
            params=request.query,
            headers={**request.headers, **_length(request.body)},
            data=_pieces(request.body) if _is_long(request.body) else request.whole_body(),
            timeout=self._timeout,
            allow_redirects=False,
            middlewares=(once,) if request.method in RESENT else (),
        ) as response:
            body = await response.read()
            return Answer(status=response.status, headers=response.headers, body=body)


def _is_long(body: bytes | StreamedBody | None) -> TypeGuard[bytes | StreamedBody]:
    """Tell whether a body is to go in pieces; the HTTP library copies a long one as a whole first."""
    return body is not None and len(body) > PIECE


def _length(body: bytes | StreamedBody | None) -> dict[str, str]:
    """Return the header that keeps a body in pieces from being sent in chunks."""
    return {"Content-Length": str(len(body))} if _is_long(body) else {}


async def _pieces(body: bytes | StreamedBody) -> AsyncIterator[bytes | memoryview]:
    """Yield pieces, and let other tasks run after each: a platform that is near takes each without a wait."""
    for piece in pieces_of(body):
        yield piece
        await asyncio.sleep(0)


class WatchedTransport:
    """Carries requests over another transport, and reports each thing that answers warn of once, by its word."""

    def __init__(
        self, inner: Transport, warning_in: Callable[[Answer], str | None], warn: Callable[[str], None]
    ) -> None:
        self._inner = inner
        self._warning_in = warning_in
        self._warn = warn
        self._warned: set[str] = set()

    async def send(self, request: Request) -> Answer:
        """Send a request and return the answer."""
        answer = await self._inner.send(request)
        word = self._warning_in(answer)
        if word is not None and word not in self._warned:
            self._warned.add(word)
            self._warn(word)
        return answer
