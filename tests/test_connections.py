"""What happens on a connection besides good requests: refusals that arrive, expectations, clients that leave."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs
from wire import Wire, chunked, connected, exchange, head, multipart, part, post, usual
from world import World, make_batch, make_form, make_users, world

from streams.client.settings import KafkaSettings

FORM = multipart(usual())
SECRET = "made-up-secret@example.com"


@pytest.fixture(scope="module")
async def server(kafka: KafkaSettings) -> AsyncIterator[World]:
    """Ingestion without consumers, for small bodies."""
    settings = {"AUDIENCE_SYNC_TIMEOUT": 0.2, "AUDIENCE_MAX_BODY": 100_000, "AUDIENCE_BODY_BUDGET": 1_000_000}
    async with world(kafka, f"test-{secrets.token_hex(6)}", consuming=(), settings=settings) as found:
        yield found


@pytest.mark.parametrize(
    "request_",
    [
        f"{SECRET} nonsense\r\n\r\n".encode(),
        f"POST /audience?name={SECRET} HTTP/9.9\r\nHost: localhost\r\n\r\n".encode(),
        f"POST /audience?name={SECRET}\xff HTTP/1.1\r\nHost: localhost\r\n\r\n".encode("latin-1"),
        f"POST http://[{SECRET}/audience HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        f"POST /audience HTTP/1.1\r\nX-Name: {SECRET}\r\n\r\n".encode(),
        f"POST /audience HTTP/1.1\r\nHost: localhost\r\nX-Name {SECRET}\r\n\r\n".encode(),
        f"POST /audience HTTP/1.1\nHost: localhost\nX-Name: {SECRET}\n\n".encode(),
        head({"X-Name": SECRET * 1000}),
        head(line=f"GET /audience?name={SECRET * 1000} HTTP/1.1"),
        head({f"X-{number}": SECRET for number in range(200)}),
        head({"Content-Length": f"-5{SECRET}"}),
        head({"X-Name": f"{SECRET}\0"}),
        head({"Transfer-Encoding": "chunked"}) + f"zz{SECRET}\r\n".encode(),
        head({"Transfer-Encoding": "chunked"}) + b"3\r\nabcdef\r\n0\r\n\r\n",
        head({"Sec-WebSocket-Key1": SECRET}),
        b"\x16\x03\x01\x02\x00\x01\x00" + SECRET.encode(),
    ],
)
async def test_what_can_not_be_read_is_refused_in_the_usual_form_and_repeated_nowhere(
    server: World, request_: bytes
) -> None:
    with capture_logs() as logs:
        async with connected(server) as wire:
            await wire.send(request_)
            answer = await wire.answer()
            assert await wire.is_closed()
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (400, "application/json")
    assert len(answer.errors) == 1
    assert answer.errors[0].startswith("request: ")
    assert b"made-up-secret" not in answer.body
    assert "made-up-secret" not in str(logs)
    assert [log["log_level"] for log in logs] == ["info"]


async def test_bytes_behind_the_declared_length_are_repeated_nowhere(
    server: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The upload is taken; what is behind it is no request."""
    async with connected(server) as wire:
        await wire.send(head(length=len(FORM)) + FORM)
        assert (await wire.answer()).status == 200
        await wire.send(f'[{{"email": "{SECRET}"}}]\r\n\r\n'.encode())
        answer = await wire.answer()
        assert await wire.is_closed()
    assert answer.errors[0].startswith("request: this is no HTTP/1.1")
    assert b"made-up-secret" not in answer.body
    assert "made-up-secret" not in caplog.text


async def test_a_chunk_that_is_broken_ends_the_upload_at_once(server: World) -> None:
    async with connected(server) as wire:
        await wire.send(head({"Transfer-Encoding": "chunked"}) + b"5\r\n--b\r\n\r\n")
        await asyncio.sleep(0.1)
        await wire.send(f"{SECRET}\r\n".encode())
        answer = await wire.answer(5)
        assert answer.status == 400
        assert b"made-up-secret" not in answer.body + await wire.reader.read()


@pytest.mark.parametrize(
    "encoding", ["gzip", "br", "zstd", "deflate", "compress", "x-made-up", "identity, gzip", "gzip, br"]
)
async def test_a_body_in_an_encoding_is_refused_whichever_it_is(server: World, encoding: str) -> None:
    answer = await post(server, b"\x1f\x8b made up", headers={"Content-Encoding": encoding})
    assert (answer.status, answer.errors) == (415, ["Content-Encoding: send the body as it is, without one"])


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
async def test_no_encoding_may_be_told_in_words(server: World, encoding: str) -> None:
    assert (await post(server, FORM, headers={"Content-Encoding": encoding})).status == 200


async def test_a_transfer_encoding_besides_chunked_is_refused(server: World) -> None:
    answer = await exchange(server, head({"Transfer-Encoding": "gzip, chunked"}) + chunked(FORM))
    assert (answer.status, answer.errors) == (415, ["Transfer-Encoding: send chunked, or a Content-Length instead"])


async def test_who_waits_for_a_word_before_the_body_gets_it(server: World) -> None:
    async with connected(server) as wire:
        await wire.send(head({"Expect": "100-Continue"}, length=len(FORM)))
        assert (await wire.answer()).status == 100
        await wire.send(FORM)
        assert (await wire.answer()).status == 200


@pytest.mark.parametrize(
    ("headers", "kind", "length", "status"),
    [
        ({"Content-Encoding": "gzip"}, "multipart/form-data; boundary=b", 10, 415),
        ({}, "application/json", 10, 400),
        ({}, "multipart/form-data", 10, 400),
        ({}, "multipart/form-data; boundary=b", 100_001, 413),
        ({"Host": "example.com"}, "multipart/form-data; boundary=b", 10, 403),
    ],
)
async def test_who_would_be_refused_is_not_asked_for_the_body(
    server: World, headers: dict[str, str], kind: str, length: int, status: int
) -> None:
    answer = await exchange(server, head({"Expect": "100-continue", **headers}, kind=kind, length=length))
    assert answer.status == status


async def test_a_path_that_is_not_served_does_not_ask_for_a_body(server: World) -> None:
    line = "POST /nowhere HTTP/1.1"
    assert (await exchange(server, head({"Expect": "100-continue"}, line=line, length=10))).status == 404


@pytest.mark.parametrize("expectation", ["made-up-secret", "100-continue, made-up-secret", "200-ok", "\udcff"])
@pytest.mark.parametrize("path", ["/audience", "/nowhere", "/audience/sessions"])
async def test_an_expectation_that_is_not_known_is_refused(server: World, expectation: str, path: str) -> None:
    line = f"POST {path} HTTP/1.1"
    answer = await exchange(server, head({"Expect": expectation}, line=line, length=0))
    assert (answer.status, answer.errors) == (417, ["Expect: send 100-continue, or leave it out"])


async def test_clients_of_http_1_0_are_served_and_expect_nothing(server: World) -> None:
    line = "POST /audience HTTP/1.0"
    async with connected(server) as wire:
        await wire.send(head({"Expect": "100-continue"}, line=line, length=len(FORM)) + FORM)
        assert (await wire.answer()).status == 200
        assert await wire.is_closed()


async def test_a_refusal_arrives_while_the_client_still_sends(server: World) -> None:
    """It sends all that it has before it looks, more than fits into buffers, and the connection can be used again."""
    async with connected(server) as wire:
        size = 350_000  # beyond the largest body, within what is thrown away
        await wire.send(head(length=size))
        for _ in range(size // 10_000):
            await wire.send(b"x" * 10_000)
            await asyncio.sleep(0)
        assert (await wire.answer()).status == 413
        await wire.send(head(length=len(FORM)) + FORM)
        assert (await wire.answer()).status == 200


async def test_a_client_that_sends_without_end_is_listened_to_for_so_many_bytes(server: World) -> None:
    async with connected(server) as wire:
        await wire.send(head({"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}))
        async with asyncio.timeout(30):
            with pytest.raises(ConnectionError):
                await _send_without_end(wire)


async def _send_without_end(wire: Wire) -> None:
    while True:
        await wire.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")


async def test_a_refusal_arrives_though_its_client_sends_for_longer_than_ten_seconds(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """The library gives up after ten seconds by itself."""
    settings = {"AUDIENCE_BODY_TIMEOUT": 30}
    async with world(kafka, topic_prefix, consuming=(), settings=settings) as server, connected(server) as wire:
        await wire.send(head({"Content-Encoding": "gzip"}, length=13))
        for _ in range(13):
            await asyncio.sleep(0.9)
            await wire.send(b"x")
        assert (await wire.answer()).status == 415
        await wire.send(head(length=len(FORM)) + FORM)
        assert (await wire.answer()).status == 200


async def test_who_lingers_does_not_keep_the_server_from_ending(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, consuming=()) as server:
        _, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
        writer.write(head({"Content-Encoding": "gzip"}, length=100))
        await asyncio.sleep(0.2)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 8  # a handler under way is waited for for ten
    writer.close()


@pytest.mark.parametrize("sent", [b"", b"--b\r\n", FORM[:-20]])
async def test_a_client_that_leaves_within_its_body_is_information(server: World, sent: bytes) -> None:
    with capture_logs() as logs:
        async with connected(server) as wire:
            await wire.send(head(length=len(FORM)) + sent)
            await asyncio.sleep(0.1)
        async with asyncio.timeout(10):
            while not logs:
                await asyncio.sleep(0.01)
    assert [(log["event"], log["log_level"], log["why"]) for log in logs] == [
        ("Request refused.", "info", "body: the client closed the connection before its end")
    ]


async def test_a_wrong_token_and_none_are_told_apart(kafka: KafkaSettings, topic_prefix: str) -> None:
    settings = {"AUDIENCE_API_TOKENS": "made-up-1"}
    async with world(kafka, topic_prefix, consuming=(), settings=settings) as server:
        missing = await post(server, FORM)
        wrong = await post(server, FORM, headers={"Authorization": "Bearer made-up-secret"})
        awaiting = await exchange(server, head({"Expect": "100-continue"}, length=10))
    assert missing.errors == ["Authorization: send Bearer and a token"]
    assert wrong.errors == ["Authorization: this token is none of those in AUDIENCE_API_TOKENS of the server"]
    assert (missing.status, wrong.status, awaiting.status) == (401, 401, 401)


async def test_with_tokens_answers_name_paths(kafka: KafkaSettings, topic_prefix: str) -> None:
    """Whoever has tokens may come through a proxy, whose address the server does not know."""
    settings = {"AUDIENCE_API_TOKENS": "made-up-1", "AUDIENCE_SYNC_TIMEOUT": 0.2}
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=(), settings=settings) as server:
        headers = {"Authorization": "Bearer made-up-1", "Host": "internal.example.com"}
        answer = await post(server, FORM, query="?sync=true", headers=headers)
    assert answer.headers["Location"].startswith("/audience/batches/")
    assert answer.errors == [f"tiktok: no consumer is running; see {answer.headers['Location']}"]


async def test_a_public_url_is_what_urls_in_answers_are_built_on(kafka: KafkaSettings, topic_prefix: str) -> None:
    settings = {"AUDIENCE_PUBLIC_URL": "https://lists.example.com/api/", "AUDIENCE_SYNC_TIMEOUT": 0.2}
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=(), settings=settings) as server:
        answer = await post(server, FORM, query="?sync=true")
    place = f"https://lists.example.com/api/audience/batches/{answer.headers['X-Batch-Id']}"
    assert answer.headers["Location"] == place
    assert answer.errors == [f"tiktok: no consumer is running; see {place}"]


async def test_nothing_of_the_host_that_a_client_names_is_in_an_answer(server: World) -> None:
    answer = await post(server, FORM, query="?sync=true", headers={"Host": "made-up-secret@localhost:99999"})
    assert answer.status == 504
    assert b"made-up-secret" not in answer.body


async def test_the_time_of_a_sync_upload_begins_with_the_last_byte_of_its_body(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """And nothing comes before the answer."""
    settings = {"AUDIENCE_SYNC_TIMEOUT": 2}
    async with world(kafka, topic_prefix, consuming=(), settings=settings) as server, connected(server) as wire:
        users = multipart(usual(part("batch", json.dumps(make_batch())), part("users", json.dumps(make_users(3)))))
        await wire.send(head(line="POST /audience?sync=true HTTP/1.1", length=len(users)) + users[:-5])
        await asyncio.sleep(2.5)
        await wire.send(users[-5:])
        began = asyncio.get_running_loop().time()
        answer = await wire.answer()
        took = asyncio.get_running_loop().time() - began
    assert answer.status == 504
    assert took > 1.5


async def test_an_idle_connection_is_kept_for_as_long_as_is_set(kafka: KafkaSettings, topic_prefix: str) -> None:
    settings = {"AUDIENCE_KEEPALIVE": 0.3}
    async with world(kafka, topic_prefix, consuming=(), settings=settings) as server, connected(server) as wire:
        await wire.send(head(length=len(FORM)) + FORM)
        assert (await wire.answer()).status == 200
        assert await wire.is_closed(10)


async def test_uploads_of_a_client_library_are_chunked_too(server: World) -> None:
    """aiohttp streams a form without a length where a part has none."""

    async def stream() -> AsyncIterator[bytes]:
        yield FORM[:100]
        yield FORM[100:]

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with server.session.post(f"{server.url}/audience", data=stream(), headers=headers) as response:
        assert response.status == 200
    async with server.session.post(f"{server.url}/audience", data=make_form(make_users(1))) as response:
        assert response.status == 200
