"""The running server, as commands ask it."""

from collections.abc import AsyncIterator, Mapping
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

T = TypeVar("T")


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

    async def get_if_served(self, path: str, query: Mapping[str, str] | None = None) -> bytes | None:
        """Return the body of a good answer, None where a server has no such path. Raises StatusError."""
        answer = await self._ask(path, query or {}, 0)
        return None if answer.status == 404 else self._good(answer)

    def _good(self, answer: Answer) -> bytes:
        if answer.status != 200:
            raise StatusError(self._why(answer))
        return answer.body

    async def _ask(self, path: str, query: Mapping[str, str], wait: float) -> Answer:
        headers = {"Authorization": f"Bearer {self.token.get_secret_value()}"} if self.token else {}
        limits = aiohttp.ClientTimeout(total=ANSWER_LIMIT + wait, sock_connect=CONNECT_LIMIT)
        place = URL(f"{self.url}{path}", encoded=True).with_query({**query, **({"wait": f"{wait:g}"} if wait else {})})
        try:
            async with self.session.get(place, headers=headers, timeout=limits) as response:
                return Answer(response.status, await response.read())
        except aiohttp.ClientConnectorError:
            raise StatusError(
                f"no server answers at {self.url}: start one with `audience up` or `audience serve`, or set "
                "AUDIENCE_LISTEN to where one listens"
            ) from None
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
        return "; ".join(said).removeprefix("status: ").removeprefix("path: ")

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
