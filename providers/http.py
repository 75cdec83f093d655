"""Calls to one platform account over HTTP: base URL, slots, pace, time limit, transport failures."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import msgspec

from providers.errors import platform_error
from providers.pace import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call. `operation` names the platform's limit that it counts against; `body` is sent as it is."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str]
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the platform said. Its text may quote users: never log it."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON. Raises RetryError where it is none, as gateways answer in HTML."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            code = "platform_error" if self.status >= 500 else "unexpected_answer"
            raise platform_error(code, platform_code=f"HTTP {self.status}") from None


class Transport(Protocol):
    """Whatever carries requests to a platform."""

    async def send(self, request: Request) -> Answer:
        """Send a request and return the answer, whatever its status.

        Raises RetryError(`unreachable`) where none comes; whether the platform acted is then unknown.
        """


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
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._slots = slots
        self._pace = pace
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def send(self, request: Request) -> Answer:
        """Wait for a free slot, then for the pace, then call.

        Raises RetryError(`unreachable`).
        """
        async with self._slots:
            await self._pace.acquire(request.operation)
            try:
                return await self._call(request)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise platform_error("unreachable", platform_code=type(error).__name__) from error

    async def _call(self, request: Request) -> Answer:
        async with self._session.request(
            request.method,
            self._base_url + request.path,
            params=request.query,
            headers=request.headers,
            data=request.body,
            timeout=self._timeout,
            allow_redirects=False,
        ) as response:
            body = await response.read()
            return Answer(status=response.status, headers=response.headers, body=body)
