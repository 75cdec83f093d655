"""`audience status`: what became of sessions and batches, and how the accounts stand, asked of the running server."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from pydantic import SecretStr
from rich.console import Console
from yarl import URL

from cli.printing.tables import print_lines, print_rows
from cli.settings.config import Config
from cli.status.printing import (
    Block,
    Rows,
    accounts_told,
    batch_told,
    session_told,
    sessions_told,
)
from cli.usage import UsageError
from ledger.resources import AccountPage, BatchStatus, SessionPage, SessionStatus

ANSWER_LIMIT = 30.0
"""Seconds that an answer may take beyond those that the server was asked to wait."""

CONNECT_LIMIT = 5.0

T = TypeVar("T")


class StatusError(Exception):
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


async def status(options: Namespace, config: Config) -> None:
    """Print how a session, a batch, or all stand. Raises StatusError, UsageError."""
    filters = _filters(options)
    is_one = options.batch is not None or options.session is not None
    if is_one and filters:
        raise UsageError("filters choose among the newest sessions: leave them out, or the session and --batch")
    if options.wait and not is_one:
        raise UsageError("--wait is for one session or one batch: name it")
    token = next(iter(config.server.tokens), None)
    async with aiohttp.ClientSession() as session:
        server = Server(url=f"http://{config.server.listen}", token=token, session=session)
        if is_one:
            await _one(server, options)
        else:
            await _newest(server, filters, as_json=options.json)


def _filters(options: Namespace) -> dict[str, str]:
    names = ("name", "type", "state", "since", "limit")
    return {name: str(value) for name in names if (value := getattr(options, name)) is not None}


async def _one(server: Server, options: Namespace) -> None:
    kind, place = ("batches", options.batch) if options.batch is not None else ("sessions", options.session)
    body = await server.get(f"/audience/{kind}/{quote(place, safe='')}", wait=options.wait)
    if kind == "batches":
        told = batch_told(server.decode(body, BatchStatus))
    else:
        told = session_told(server.decode(body, SessionStatus))
    _print(body, told, as_json=options.json)


async def _newest(server: Server, filters: Mapping[str, str], *, as_json: bool) -> None:
    body = await server.get("/audience/sessions", filters)
    accounts = await server.get_if_served("/audience/accounts")
    page = server.decode(body, SessionPage)
    known = server.decode(accounts, AccountPage) if accounts else AccountPage(accounts=[])
    if as_json:
        merged = msgspec.json.decode(body) | msgspec.json.decode(accounts or b"{}")
        _print(msgspec.json.encode(merged), (), as_json=True)
        return
    _print_blocks(sessions_told(page))
    if page.sessions and known.accounts:
        print_lines([""])
    _print_blocks(accounts_told(known))
    sys.stdout.flush()
    if not page.sessions:
        print_lines(["No session is meant by these filters." if filters else "There are no sessions."], sys.stderr)
    elif page.next:
        print_lines(["There are more sessions: --limit shows up to 100 of them, filters choose."], sys.stderr)


def _print(body: bytes, told: Iterable[Block], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(body.decode() + "\n")
    else:
        _print_blocks(told)


def _print_blocks(blocks: Iterable[Block]) -> None:
    console = Console()
    for block in blocks:
        if isinstance(block, Rows):
            print_rows(block.columns, block.rows, console)
        else:
            print_lines([block])
