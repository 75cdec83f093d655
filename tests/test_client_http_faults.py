"""Both HTTP clients against servers that fail: what is sent again, what ends, and what nobody gets to see."""

import asyncio
import logging
import socket
import ssl
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from secure_kafka import write_certificates

from audience_client.errors import AudienceError, InputError
from audience_client.http.async_client import AsyncServerClient
from audience_client.http.batches import BatchToSend
from audience_client.http.client import ServerClient
from audience_client.http.errors import NotKnownError, RefusedError, UnexpectedAnswerError, UnreachableError
from audience_client.http.retry import Retry, WaitNotice
from streams.processes.ports import free_port

USERS = b'[{"email":"ada@example.com"},{"phone":"+14155550100"}]'
TOKEN = "made-up-token"
SECRETS = ("ada@example.com", "4155550100", TOKEN)
FAST = Retry(give_up_after=20.0, first_pause=0.01, longest_pause=0.05)

BATCH = BatchToSend(name="VIP — Zürich", session_id=7, sequence=1, total_batches=1, total_users=2, users=USERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it came."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    parts: Mapping[str, bytes]


Act = Callable[[web.Request], web.StreamResponse]


@dataclass(slots=True)
class Script:
    """A server that does what it is told, act by act; the last is repeated."""

    acts: deque[Act]
    url: str = ""
    seen: list[Seen] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take a request in whole and do what comes next."""
        parts = {name: _bytes(value) for name, value in (await request.post()).items()}
        seen = Seen(path=request.path, query=dict(request.query), headers=dict(request.headers), parts=parts)
        self.seen.append(seen)
        act = self.acts.popleft() if len(self.acts) > 1 else self.acts[0]
        return act(request)


def _bytes(value: object) -> bytes:
    assert isinstance(value, str)
    return value.encode()


def answers(status: int, *errors: str, **headers: str) -> Act:
    """Answer so, as the server does."""
    body = {"success": status == 200, **({"errors": errors} if errors else {})}
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def act(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, headers=named, body=msgspec.json.encode(body), content_type="application/json"
        )

    return act


def gives(body: object) -> Act:
    """Answer 200 with a body."""
    return lambda _: web.Response(body=msgspec.json.encode(body), content_type="application/json")


def page(status: int) -> Act:
    """Answer as a proxy does, with what a user sent in it."""
    return lambda _: web.Response(status=status, text=f"<html>{USERS.decode()}</html>", content_type="text/html")


def drops(request: web.Request) -> web.StreamResponse:
    """End the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def breaks_off(request: web.Request) -> web.StreamResponse:
    """End the connection within the answer."""
    assert request.transport is not None
    assert isinstance(request.transport, asyncio.WriteTransport)
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\nX-Batch-Id: half\r\n\r\n{")
    request.transport.close()
    return web.Response()


GOOD = answers(200, X_Batch_Id="7c0f", X_Ignored_Count="0", Location="/audience/batches/7c0f")


@asynccontextmanager
async def scripted(*acts: Act, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Script]:
    """Run such a server."""
    script = Script(deque(acts))
    app = web.Application(client_max_size=100 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", script.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        script.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
        yield script
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Either:
    """One of the two clients, asked the same way."""

    client: ServerClient | AsyncServerClient
    notices: list[WaitNotice]

    async def ask(self, called: str, /, *args: object, **options: object) -> Any:
        """Call a method."""
        method = getattr(self.client, called)
        if isinstance(self.client, ServerClient):
            return await asyncio.to_thread(method, *args, **options)
        return await method(*args, **options)

    async def list(self, called: str, /, *args: object, **options: object) -> list[Any]:
        """Return all that a method yields."""
        if isinstance(self.client, AsyncServerClient):
            return [one async for one in getattr(self.client, called)(*args, **options)]
        return await asyncio.to_thread(list, getattr(self.client, called)(*args, **options))


Kind = type[ServerClient] | type[AsyncServerClient]


@asynccontextmanager
async def either(kind: Kind, url: str, **options: Any) -> AsyncIterator[Either]:
    """Open a client of this kind."""
    notices: list[WaitNotice] = []
    made = kind(url, **{"token": TOKEN, "retry": FAST, "on_wait": notices.append, **options})
    if isinstance(made, AsyncServerClient):
        async with made:
            yield Either(made, notices)
    else:
        with made:
            yield Either(made, notices)


both = pytest.mark.parametrize("kind", [ServerClient, AsyncServerClient])


def shows_nothing(error: BaseException) -> bool:
    """Tell whether an error, all of it, has nothing of a user or a token."""
    told = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    return not any(secret in told for secret in SECRETS) and error.__cause__ is None


@both
async def test_a_batch_arrives_to_the_letter(kind: Kind) -> None:
    batch = replace(BATCH, channels=("facebook", "tiktok/eu"), disable_prefix=True)
    async with scripted(GOOD) as server, either(kind, server.url) as client:
        accepted = await client.ask("send_batch", batch)
    assert (accepted.batch_id, accepted.ignored, accepted.location) == ("7c0f", 0, "/audience/batches/7c0f")
    (seen,) = server.seen
    assert seen.query == {
        "detail": "true",
        "mode": "add",
        "resume": "true",
        "disablePrefix": "true",
        "channels": "facebook,tiktok/eu",
    }
    assert seen.parts == {
        "name": "VIP — Zürich".encode(),
        "type": b"custom",
        "batch": b'{"sessionId":7,"sequence":1,"totalBatches":1,"totalUsers":2}',
        "users": USERS,
    }
    assert seen.headers["Authorization"] == f"Bearer {TOKEN}"
    assert int(seen.headers["Content-Length"]) > len(USERS)


@both
async def test_a_path_of_the_url_stays_and_twenty_megabytes_arrive_as_they_are(kind: Kind) -> None:
    users = b"[" + b",".join([b'{"email":"ada@example.com"}'] * 700_000) + b"]"
    async with scripted(GOOD) as server, either(kind, f"{server.url}/api/") as client:
        await client.ask("send_batch", replace(BATCH, users=users))
    assert server.seen[0].path == "/api/audience"
    assert server.seen[0].parts["users"] == users


PASSING: Sequence[tuple[Act, str]] = (
    (answers(503, "batches: there is no room", Retry_After="0"), "no_room"),
    (answers(429), "no_room"),
    (answers(408, "body: too slow"), "too_slow"),
    (page(502), "proxy"),
    (page(504), "proxy"),
    (page(503), "no_room"),
    (drops, "unreachable"),
    (breaks_off, "unreachable"),
)


@both
@pytest.mark.parametrize(("act", "why"), PASSING)
async def test_what_passes_is_waited_for_and_the_same_is_sent_again(kind: Kind, act: Act, why: str) -> None:
    async with scripted(act, act, GOOD) as server, either(kind, server.url) as client:
        accepted = await client.ask("send_batch", BATCH)
    assert accepted.batch_id == "7c0f"
    assert [notice.why for notice in client.notices] == [why, why]
    assert [notice.attempt for notice in client.notices] == [1, 2]
    assert not any(secret in repr(client.notices) for secret in SECRETS)
    first, second, third = server.seen
    assert first.parts == second.parts == third.parts
    assert first.query == second.query == third.query


@both
async def test_a_large_batch_that_was_cut_off_is_sent_again_whole(kind: Kind) -> None:
    users = b"[" + b",".join([b'{"email":"ada@example.com"}'] * 20_000) + b"]"
    async with scripted(drops, GOOD) as server, either(kind, server.url) as client:
        await client.ask("send_batch", replace(BATCH, users=users))
    assert [notice.why for notice in client.notices] == ["unreachable"]
    assert [seen.parts["users"] for seen in server.seen] == [users, users]


@both
@pytest.mark.parametrize("status", [401, 403, 413])
async def test_a_refusal_of_a_large_batch_is_heard_before_all_is_sent(kind: Kind, status: int) -> None:
    """As servers do that read no further: the connection is reset while we write."""
    users = b"[" + b",".join([b'{"email":"ada@example.com"}'] * 700_000) + b"]"
    async with closing_early(status) as url, either(kind, url) as client:
        with pytest.raises(RefusedError, match=f"with {status}: body: no"):
            await client.ask("send_batch", replace(BATCH, users=users))
    assert not client.notices


@both
async def test_no_room_is_heard_before_a_large_batch_is_sent(kind: Kind) -> None:
    users = b"[" + b",".join([b'{"email":"ada@example.com"}'] * 700_000) + b"]"
    retry = replace(FAST, give_up_after=0.0)
    async with closing_early(503) as url, either(kind, url, retry=retry) as client:
        with pytest.raises(UnreachableError, match="body: no") as caught:
            await client.ask("send_batch", replace(BATCH, users=users))
    assert caught.value.why == "no_room"


@asynccontextmanager
async def closing_early(status: int) -> AsyncIterator[str]:
    """Refuse by the head of a request, and close with what else has come unread."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"success":false,"errors":["body: no"]}'
        writer.write(b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@both
async def test_a_server_that_is_not_there_yet_is_waited_for(kind: Kind) -> None:
    port = free_port()
    async with either(kind, f"http://127.0.0.1:{port}") as client:
        asked = asyncio.create_task(client.ask("send_batch", BATCH))
        while not client.notices:
            await asyncio.sleep(0.01)
        async with scripted(GOOD, port=port):
            assert (await asked).batch_id == "7c0f"
    assert client.notices[0].words == f"http://127.0.0.1:{port}: nothing listens there"


@both
async def test_a_silent_server_is_asked_again(kind: Kind) -> None:
    async with silent() as url, either(kind, url, timeout=0.2, retry=replace(FAST, give_up_after=0.5)) as client:
        with pytest.raises(UnreachableError, match="no answer came in time"):
            await client.ask("send_batch", BATCH)
    assert client.notices


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Take connections and say nothing."""
    over = asyncio.Event()

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        over.set()


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 413, 415, 417, 500])
async def test_a_refusal_ends_at_the_first_try_and_shows_nothing(kind: Kind, status: int) -> None:
    async with scripted(answers(status, "users: no"), GOOD) as server, either(kind, server.url) as client:
        with pytest.raises(RefusedError) as caught:
            await client.ask("send_batch", BATCH)
    assert (caught.value.status, caught.value.words) == (status, "users: no")
    assert len(server.seen) == 1
    assert not client.notices
    assert shows_nothing(caught.value)


@both
@pytest.mark.parametrize("act", [page(200), page(400), page(500), gives({"success": True}), answers(204)])
async def test_what_is_no_audience_api_accepted_nothing(kind: Kind, act: Act) -> None:
    async with scripted(act) as server, either(kind, server.url) as client:
        with pytest.raises(AudienceError) as caught:
            await client.ask("send_batch", BATCH)
    assert shows_nothing(caught.value)


@both
async def test_giving_up_says_why_and_shows_nothing(kind: Kind) -> None:
    async with scripted(drops) as server, either(kind, server.url, retry=replace(FAST, give_up_after=0.3)) as client:
        with pytest.raises(UnreachableError, match="the connection ended before an answer was there") as caught:
            await client.ask("send_batch", BATCH)
    assert shows_nothing(caught.value)
    assert caught.value.__context__ is None
    assert len(server.seen) == len(client.notices) + 1 > 2


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirection_takes_neither_users_nor_a_token_elsewhere(kind: Kind, status: int) -> None:
    async with scripted(GOOD) as elsewhere:
        act = answers(status, Location=f"{elsewhere.url}/audience")
        async with scripted(act) as server, either(kind, server.url) as client:
            for name, asked in (("send_batch", BATCH), ("session", 7)):
                with pytest.raises(UnexpectedAnswerError, match=f"redirection \\({status}\\)"):
                    await client.ask(name, asked)
    assert elsewhere.seen == []


@both
async def test_no_proxy_of_the_environment_stands_before_this_machine(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"socks5://127.0.0.1:{free_port()}")
    async with scripted(GOOD) as server, either(kind, server.url) as client:
        assert (await client.ask("send_batch", BATCH)).batch_id == "7c0f"
    assert not client.notices


@both
async def test_a_proxy_of_the_environment_is_asked_for_other_machines(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(GOOD) as proxy:
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        for name in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        async with either(kind, "http://lists.example.com") as client:
            assert (await client.ask("send_batch", BATCH)).batch_id == "7c0f"
    assert proxy.seen[0].headers["Host"] == "lists.example.com"


@both
@pytest.mark.parametrize(
    ("name", "value"), [("HTTP_PROXY", "socks5://made-up"), ("ALL_PROXY", "made-up://x"), ("SSL_CERT_FILE", "/made-up")]
)
async def test_an_environment_that_can_not_be_used_is_named(
    kind: Kind, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(other.lower(), raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=name) as caught:
        kind("http://lists.example.com")
    assert "made-up" not in str(caught.value)


@both
async def test_a_certificate_that_nobody_vouches_for_ends_the_upload_at_once(kind: Kind, tmp_path: Path) -> None:
    async with scripted(GOOD, tls=_tls(tmp_path)) as server, either(kind, server.url) as client:
        with pytest.raises(UnreachableError, match="its certificate is not valid") as caught:
            await client.ask("send_batch", BATCH)
    assert (server.seen, client.notices) == ([], [])
    assert shows_nothing(caught.value)


@both
async def test_a_certificate_of_an_authority_that_the_environment_names_is_good(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = _tls(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with scripted(GOOD, tls=tls) as server, either(kind, server.url) as client:
        assert (await client.ask("send_batch", BATCH)).batch_id == "7c0f"


@both
async def test_tls_where_none_is_spoken_ends_at_once_and_says_so(kind: Kind) -> None:
    async with scripted(GOOD) as server, either(kind, server.url.replace("http:", "https:")) as client:
        with pytest.raises(UnreachableError, match="no TLS is spoken there"):
            await client.ask("send_batch", BATCH)
    assert not client.notices


def test_what_was_handled_before_is_not_taken_for_the_cause() -> None:
    with ServerClient("http://127.0.0.1:1", retry=replace(FAST, give_up_after=0.0)) as client:
        try:
            socket.getaddrinfo("nobody.invalid", 1)
        except socket.gaierror:
            with pytest.raises(UnreachableError, match="nothing listens there"):
                client.accounts()


@both
async def test_a_name_that_nobody_knows_is_told(kind: Kind) -> None:
    async with either(kind, "http://nobody.invalid", retry=replace(FAST, give_up_after=0.0)) as client:
        with pytest.raises(UnreachableError, match="the host's name can't be resolved"):
            await client.ask("accounts")


@both
async def test_logs_of_all_levels_show_neither_users_nor_a_token(kind: Kind, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(drops, answers(503), GOOD) as server, either(kind, server.url) as client:
        await client.ask("send_batch", BATCH)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("http")]
    assert ours
    assert not any(secret in message for secret in SECRETS for message in ours)


async def test_batches_go_side_by_side_and_each_waits_for_itself() -> None:
    async with (
        scripted(answers(503), drops, answers(503), GOOD) as server,
        either(AsyncServerClient, server.url) as client,
    ):
        sent = [client.ask("send_batch", replace(BATCH, sequence=number)) for number in range(8)]
        assert [one.batch_id for one in await asyncio.gather(*sent)] == ["7c0f"] * 8
    assert len(server.seen) == 11
    assert {seen.parts["batch"] for seen in server.seen[3:]} >= {seen.parts["batch"] for seen in server.seen[:3]}


async def test_threads_share_a_client() -> None:
    async with scripted(answers(503), drops, GOOD) as server, either(ServerClient, server.url) as client:
        sent = [client.ask("send_batch", replace(BATCH, sequence=number)) for number in range(4)]
        assert [one.batch_id for one in await asyncio.gather(*sent)] == ["7c0f"] * 4
    assert len(server.seen) == 6


async def test_an_upload_that_waits_can_be_cancelled() -> None:
    async with either(AsyncServerClient, f"http://127.0.0.1:{free_port()}", retry=Retry(give_up_after=None)) as client:
        asked = asyncio.create_task(client.ask("send_batch", BATCH))
        while not client.notices:
            await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


def rejection(index: int) -> dict[str, object]:
    """Return one rejected user as the server tells it."""
    told = {"part": 1, "provider": "facebook", "account": None, "replayId": None, "field": "email"}
    return {"batchId": "7c0f", "index": index, "reason": "not_an_email", "remedy": "Correct it.", **told}


@both
async def test_pages_are_read_to_their_end_one_cursor_after_the_other(kind: Kind) -> None:
    def rejected(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("cursor", "0"))
        more = str(number + 1) if number < 2 else None
        return gives({"sessionId": "7", "rejected": [rejection(number)], "unlisted": 4, "next": more})(request)

    async with scripted(rejected) as server, either(kind, server.url) as client:
        assert [one.index for one in await client.list("rejected", 7, name="VIP")] == [0, 1, 2]
        assert [one.unlisted for one in await client.list("rejected_pages", 7)] == [4, 4, 4]
    assert [seen.query.get("cursor") for seen in server.seen] == [None, "1", "2"] * 2
    assert server.seen[1].query == {"limit": "10000", "name": "VIP", "cursor": "1"}
    assert {seen.path for seen in server.seen} == {"/audience/sessions/7/rejected"}


def status(state: str) -> Act:
    """Answer with a session of one run."""
    run = {"name": "VIP", "type": "custom", "mode": "add", "state": state, "startedAt": "2026-11-24T15:00:00Z"}
    counted = {"lastAt": "2026-11-24T15:00:02Z", "totalBatches": 1, "totalUsers": 2, "users": 2, "missing": []}
    return gives({"sessionId": "7", "runs": [{**run, **counted, "areTotalsRight": True, "batches": [], "targets": []}]})


@both
async def test_waiting_goes_over_faults_and_ends_when_the_run_is_over(kind: Kind) -> None:
    unknown = answers(404, "path: nothing is known of that id, which may have left the log")
    building = answers(503, "status: the view is being built", Retry_After="0")
    seen: list[str] = []
    acts = (unknown, building, status("in_progress"), drops, status("partial"))
    async with scripted(*acts) as server, either(kind, server.url) as client:
        found = await client.ask("wait", 7, on_status=lambda told: seen.append(told.runs[0].state), name="VIP")
    assert found.is_over
    assert seen == ["in_progress", "partial"]
    assert [notice.why for notice in client.notices] == ["no_room", "unreachable"]


@both
async def test_waiting_ends_with_its_time(kind: Kind) -> None:
    async with scripted(status("in_progress")) as server, either(kind, server.url) as client:
        assert not (await client.ask("wait", 7, timeout=0.5)).is_over
    assert len(server.seen) > 1
    async with scripted(drops) as server, either(kind, server.url, retry=Retry(give_up_after=None)) as client:
        with pytest.raises(UnreachableError):
            await client.ask("wait", 7, timeout=0.5)


@both
async def test_a_session_that_nobody_knows_is_an_error_of_its_own(kind: Kind) -> None:
    async with (
        scripted(answers(404, "path: nothing is known of that id")) as server,
        either(kind, server.url) as client,
    ):
        for name in ("session", "batch"):
            with pytest.raises(NotKnownError):
                await client.ask(name, "7")
        with pytest.raises(NotKnownError):
            await client.list("rejected", 7)


def _tls(folder: Path) -> ssl.SSLContext:
    write_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context
