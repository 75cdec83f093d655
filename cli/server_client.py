"""The running server, as commands ask it."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import msgspec
from pydantic import SecretStr
from yarl import URL

from cli.errors import CommandError
from cli.settings.config import Config

ANSWER_LIMIT = 30.0
"""Seconds that an answer may take beyond those that the server was asked to wait."""

CONNECT_LIMIT = 5.0

SILENCE = 90.0
"""Seconds without a sign of life after which a stream is taken for broken; servers send one every 30 at the latest."""

COME_AGAIN = frozenset({429, 502, 503, 504})
"""Answers of a server, or of a proxy before it, to whom it may be asked again later."""

T = TypeVar("T")


class StreamBrokenError(CommandError):
    """A stream ended although it has no end, or can't begin now; it may be asked for again."""


class StatusError(CommandError):
    """The server could not be asked, or knows nothing of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The running ingestion."""

    url: str
    token: SecretStr | None
    session: aiohttp.ClientSession

    async def get(self, path: str, query: Mapping[str, str] | None = None, wait: float = 0) -> bytes:
        """Return the body of an answer that is good. Raises StatusError."""
        return self._good(await self._ask(path, query or {}, wait))

    async def get_if_served(self, path: str) -> bytes | None:
        """Return the body of a good answer, None where a server has no such path. Raises StatusError."""
        answer = await self._ask(path, {}, 0)
        return None if answer.status == 404 else self._good(answer)

    async def lines(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> AsyncGenerator[str, None]:
        """Yield the lines of a stream without their ends. Raises StreamBrokenError, and StatusError for a refusal."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT, sock_read=SILENCE)
        place = URL(f"{self.url}{path}", encoded=True).with_query(query)
        try:
            async with self.session.get(place, headers={**self._token(), **headers}, timeout=limits) as response:
                if response.status != 200:
                    raise self._refusal(Answer(response.status, await response.read()))
                async for line in response.content:
                    yield line.decode(errors="replace").rstrip("\n")
        except aiohttp.ClientConnectorError:
            raise StreamBrokenError(self._nobody) from None
        except (aiohttp.ClientError, TimeoutError):
            raise StreamBrokenError(f"the connection to {self.url} broke off") from None

    def _refusal(self, answer: Answer) -> CommandError:
        why = self._why(answer)
        return StreamBrokenError(why) if answer.status in COME_AGAIN else StatusError(why)

    def _token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}

    @property
    def _nobody(self) -> str:
        return (
            f"no server answers at {self.url}: start one with `audience up` or `audience serve`, or set "
            "AUDIENCE_LISTEN to where one listens"
        )

    def _good(self, answer: Answer) -> bytes:
        if answer.status != 200:
            raise StatusError(self._why(answer))
        return answer.body

    async def _ask(self, path: str, query: Mapping[str, str], wait: float) -> Answer:
        limits = aiohttp.ClientTimeout(total=ANSWER_LIMIT + wait, sock_connect=CONNECT_LIMIT)
        place = URL(f"{self.url}{path}", encoded=True).with_query({**query, **({"wait": f"{wait:g}"} if wait else {})})
        try:
            async with self.session.get(place, headers=self._token(), timeout=limits) as response:
                return Answer(response.status, await response.read())
        except aiohttp.ClientConnectorError:
            raise StatusError(self._nobody) from None
        except (aiohttp.ClientError, TimeoutError):
            raise StatusError(f"what listens at {self.url} gave no whole answer in time; ask again") from None

    def _why(self, answer: Answer) -> str:
        """Return why an answer is none, in the server's own words where it has some."""
        if answer.status == 401:
            return f"the server at {self.url} wants a token that it knows: set AUDIENCE_API_TOKENS as it has them"
        try:
            said = msgspec.json.decode(answer.body, type=_Refusal).errors
        except msgspec.DecodeError:
            return self.no_server
        return "; ".join(said).removeprefix("status: ").removeprefix("events: ").removeprefix("path: ")

    @property
    def no_server(self) -> str:
        """What to say of an answer that is no server's of ours."""
        return f"what listens at {self.url} is no server of this version: set AUDIENCE_LISTEN to where one listens"

    def decode(self, body: bytes, kind: type[T]) -> T:
        """Return what a body says. Raises StatusError."""
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError:
            raise StatusError(self.no_server) from None


class _Refusal(msgspec.Struct):
    errors: list[str]


@asynccontextmanager
async def asked_server(config: Config) -> AsyncIterator[Server]:
    """Yield the server at AUDIENCE_LISTEN, with the first token."""
    token = next(iter(config.server.tokens), None)
    async with aiohttp.ClientSession() as session:
        yield Server(url=f"http://{config.server.listen}", token=token, session=session)
