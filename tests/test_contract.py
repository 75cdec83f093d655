"""Every row of the HTTP contract, against a running server over real HTTP."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from world import World, make_batch, make_form, make_users, world

from streams.client.settings import KafkaSettings
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port
from streams.read.tail import read_to_end

CORRUPTED = "Payload is corrupted or missing. Please send JSON string. "
MALFORMED = "Malformed request body, must be form data ("


@pytest.fixture(scope="module")
async def server(kafka: KafkaSettings) -> AsyncIterator[World]:
    """Ingestion with a short wait and no consumers."""
    settings = {"AUDIENCE_SYNC_TIMEOUT": 0.2, "AUDIENCE_MAX_USERS": 60_000}
    async with world(kafka, f"test-{secrets.token_hex(6)}", consuming=(), settings=settings) as found:
        yield found


async def answer(server: World, form: object, query: str = "", **options: object) -> tuple[int, str, str]:
    """Post a body; return status, content type and body to the byte."""
    async with server.session.post(f"{server.url}/audience{query}", data=form, **options) as response:  # type: ignore[arg-type] # bodies of any kind
        return response.status, response.headers["Content-Type"].partition(";")[0], await response.text()


async def errors(server: World, form: object, query: str = "") -> list[str]:
    """Post a form that must be refused with 400 in the usual form; return its errors."""
    status, kind, body = await answer(server, form, query)
    assert (status, kind) == (400, "application/json")
    decoded = json.loads(body)
    assert set(decoded) == {"success", "errors"}
    assert decoded["success"] is False
    found: list[str] = decoded["errors"]
    return found


async def test_an_accepted_upload_is_answered_to_the_byte(server: World) -> None:
    assert await answer(server, make_form(make_users(2))) == (200, "application/json", '{"success": true}')


async def test_an_accepted_upload_carries_its_batch_id_in_a_header_and_in_the_detail(server: World) -> None:
    status, body, headers = await server.upload(make_users(1), "?detail=true")
    assert status == 200
    assert body == {"success": True, "batchId": headers["X-Batch-Id"]}


async def test_parts_may_come_in_any_order_as_files_and_with_others_between(server: World) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("users", json.dumps(make_users(1)), filename="users.json", content_type="application/json")
    form.add_field("other", "ignored")
    form.add_field("batch", json.dumps(make_batch()))
    form.add_field("type", "primary")
    form.add_field("name", "VIP")
    assert (await answer(server, form))[0] == 200


async def test_twenty_megabytes_of_users_are_accepted(server: World) -> None:
    users = [{"email": f"person{number}@example.com", "firstName": "A" * 400} for number in range(45_000)]
    data = json.dumps(users)
    assert len(data) > 20_000_000
    assert (await answer(server, make_form(data)))[0] == 200


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("application/json", "Content-Type: expected multipart/form-data"),
        ("application/x-www-form-urlencoded", "Content-Type: expected multipart/form-data"),
        ("multipart/form-data", "Content-Type: expected a boundary"),
    ],
)
async def test_a_body_that_is_no_form_data_is_refused_in_plain_text(server: World, kind: str, details: str) -> None:
    found = await answer(server, b"{}", headers={"Content-Type": kind})
    assert found == (400, "text/plain", f"{MALFORMED}{details})")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing like it",
        b"--b\r\nContent-Disposition: form-data; name=users\r\n\r\n[{}]",
        b"--b\r\nno header\r\n\r\n[]\r\n--b--",
        b"--other\r\nContent-Disposition: form-data; name=users\r\n\r\n[]\r\n--other--\r\n",
    ],
)
async def test_broken_multipart_is_refused_in_plain_text(server: World, body: bytes) -> None:
    status, kind, text = await answer(server, body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (status, kind) == (400, "text/plain")
    assert text.startswith(MALFORMED)


@pytest.mark.parametrize(
    ("users", "details"),
    [
        (None, "users: missing"),
        ("", "users: not JSON"),
        ("[", "users: not JSON"),
        ("{}", "users: expected array"),
        ("null", "users: expected array"),
        ("[null]", "users[0]: expected object"),
        ("[{}, 3]", "users[1]: expected object"),
        ('[{"email": 5}]', "users[0].email: expected string"),
        ('[{}, {"phone": []}]', "users[1].phone: expected string"),
        ('[{"phone": NaN}]', "users: not JSON at byte 11"),
        ('[{"phone": 1e400}]', "users[0].phone: expected string"),
        ('[{"purchase": {"profit": "much"}}]', "users[0].purchase.profit: expected finite number"),
        ('[{"purchase": {"profit": 1e400}}]', "users[0].purchase.profit: expected finite number"),
        ('[{"purchase": 5}]', "users[0].purchase: expected object"),
        ('[{"email": "\\ud8"}]', "users: not JSON"),
        ('[{"email": "' + "a" * 1025 + '"}]', "users[0].email: expected string of at most 1024 characters"),
        ('[{"unknown": ' + "[" * 100_000, "users: nested too deeply"),
        (b'[{"email": "\xff"}]', "users: not UTF-8 at byte 12"),
    ],
)
async def test_users_that_are_not_what_they_should_be_are_named_by_place(
    server: World, users: str | bytes | None, details: str
) -> None:
    found = await errors(server, make_form(users))
    assert len(found) == 1
    assert found[0].startswith(CORRUPTED + details)


@pytest.mark.parametrize(
    ("batch", "details"),
    [
        ("", "batch: not JSON"),
        ("[]", "batch: expected object"),
        ("{", "batch: not JSON"),
        ({"sessionId": 1}, "batch.sequence: expected a whole number from 0 to 2^53; batch.totalBatches: "),
        (make_batch(sessionId="1"), "batch.sessionId: expected a finite number"),
        (make_batch(sessionId=True), "batch.sessionId: expected a finite number"),
        (make_batch(sequence="1"), "batch.sequence: expected a whole number from 0 to 2^53"),
        (make_batch(sequence=-1), "batch.sequence: expected a whole number from 0 to 2^53"),
        (make_batch(sequence=0.5), "batch.sequence: expected a whole number from 0 to 2^53"),
        (make_batch(totalUsers=2**53 + 2), "batch.totalUsers: expected a whole number from 0 to 2^53"),
        (make_batch(pullDate="24.11.2026"), "batch.pullDate: expected a date as YYYY-MM-DD"),
        (make_batch(pullDate="2026-02-30"), "batch.pullDate: expected a date as YYYY-MM-DD"),
        ('{"sessionId": NaN}', "batch: not JSON"),
        ('{"sessionId": 1e400}', "batch: expected numbers that are finite"),
        ("[" * 100_000, "batch: nested too deeply"),
    ],
)
async def test_a_batch_that_is_not_what_it_should_be_is_named_by_field(
    server: World, batch: object, details: str
) -> None:
    found = await errors(server, make_form(make_users(1), batch=batch))
    assert len(found) == 1
    assert found[0].startswith(CORRUPTED + details)


@pytest.mark.parametrize(
    "batch",
    [
        make_batch(sequence=0),
        make_batch(sequence=1),
        make_batch(sequence=5.0, totalBatches=5),
        make_batch(sessionId=1e300),
        make_batch(sessionId=-0.5),
        make_batch(pullDate="2026-11-24"),
        make_batch(pullDate=None, unknown={"a": 1}),
        make_batch(sequence=0, totalBatches=0, totalUsers=0),
    ],
)
async def test_a_batch_may_be_written_in_every_documented_way(server: World, batch: object) -> None:
    assert (await answer(server, make_form(make_users(1), batch=batch)))[0] == 200


async def test_no_users_are_refused_in_plain_text_before_other_fields_are_looked_at(server: World) -> None:
    text = "No users in the segment. Segment cannot be created."
    assert await answer(server, make_form("[]", name=None), "?sync=nonsense") == (400, "text/plain", text)


async def test_batch_is_looked_at_before_users(server: World) -> None:
    assert await errors(server, make_form("[]", batch="")) == [CORRUPTED + "batch: not JSON"]


async def test_all_other_faults_are_told_together(server: World) -> None:
    form = make_form(make_users(1), name="", batch=make_batch(sequence=2), extra={"type": "special"})
    form.add_field("users", "[]")
    found = await errors(server, form, "?sync=yes&disablePrefix=&channels=facebook,snapchat")
    assert found == [
        "users: send it once",
        "name: send a name of 1 to 255 characters",
        "type: send custom or primary",
        "disablePrefix: send true, false, 1 or 0",
        "sync: send true, false, 1 or 0",
        "channels: send some of facebook, tiktok, klaviyo, separated by commas",
        "batch.sequence: send a number that is not above totalBatches",
    ]


@pytest.mark.parametrize(
    ("name", "details"),
    [
        (None, "name: send it, it is required"),
        ("   ", "name: send a name of 1 to 255 characters"),
        ("n" * 256, "name: send a name of 1 to 255 characters"),
        (b"caf\xe9", "name: send UTF-8, byte 3 is none"),
    ],
)
async def test_a_name_that_is_none_is_refused(server: World, name: str, details: str) -> None:
    assert await errors(server, make_form(make_users(1), name=name)) == [details]


@pytest.mark.parametrize("value", ["true", "TRUE", "1", "True"])
async def test_a_true_boolean_may_be_written_in_several_ways(server: World, value: str) -> None:
    assert (await answer(server, make_form(make_users(1)), f"?sync={value}"))[0] == 504


@pytest.mark.parametrize("value", ["false", "FALSE", "0"])
async def test_a_false_boolean_may_be_written_in_several_ways(server: World, value: str) -> None:
    assert (await answer(server, make_form(make_users(1)), f"?sync={value}"))[0] == 200


@pytest.mark.parametrize("value", ["yes", "nonsense", "2", ""])
async def test_other_booleans_are_refused(server: World, value: str) -> None:
    found = await errors(server, make_form(make_users(1)), f"?sync={value}")
    assert found == ["sync: send true, false, 1 or 0"]


async def test_a_sync_upload_that_no_consumer_reads_is_told_so(server: World) -> None:
    status, body, headers = await server.upload(make_users(1), "?sync=true&channels=tiktok")
    assert status == 504
    assert body["errors"] == [f"tiktok: no consumer is running; see {server.url}{headers['Location']}"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_told_which_one_is_allowed(server: World, method: str) -> None:
    async with server.session.request(method, f"{server.url}/audience") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert (await response.json())["success"] is False


async def test_an_unknown_path_is_told_what_is_served(server: World) -> None:
    async with server.session.get(f"{server.url}/nowhere") as response:
        assert response.status == 404
        assert (await response.json())["errors"] == ["path: nothing is served here; send POST /audience"]


async def test_an_encoded_body_is_refused(server: World) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "multipart/form-data; boundary=b"}
    assert (await answer(server, b"", headers=headers))[0] == 415


async def test_more_users_than_allowed_are_refused(server: World) -> None:
    assert (await answer(server, make_form("[" + ",".join(["{}"] * 60_001) + "]")))[0] == 413


@pytest.mark.parametrize("headers", [{"Origin": "http://example.com"}, {"Host": "example.com"}, {"Origin": "null"}])
async def test_web_pages_and_other_hosts_are_not_let_in(server: World, headers: dict[str, str]) -> None:
    status, kind, _ = await answer(server, make_form(make_users(1)), headers=headers)
    assert (status, kind) == (403, "application/json")


async def test_a_page_of_the_server_itself_is_let_in(server: World) -> None:
    assert (await answer(server, make_form(make_users(1)), headers={"Origin": server.url}))[0] == 200


async def test_health_is_told(server: World) -> None:
    for path in ("/healthz", "/readyz"):
        async with server.session.get(server.url + path) as response:
            assert response.status == 200


async def test_with_tokens_only_those_who_send_one_are_let_in(kafka: KafkaSettings, topic_prefix: str) -> None:
    settings = {"AUDIENCE_API_TOKENS": "made-up-1, made-up-2"}
    async with world(kafka, topic_prefix, consuming=(), settings=settings) as server:
        for token in ("Bearer made-up-1", "bearer made-up-2"):
            headers = {"Authorization": token, "Origin": "http://example.com"}
            assert (await answer(server, make_form(make_users(1)), headers=headers))[0] == 200
        for token in ("Bearer wrong", "Basic made-up-1", "made-up-1", "Bearer "):
            async with server.session.post(f"{server.url}/audience", headers={"Authorization": token}) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
        async with server.session.get(f"{server.url}/readyz") as response:
            assert response.status == 200


async def test_a_body_that_comes_too_slowly_is_given_up(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, consuming=(), settings={"AUDIENCE_BODY_TIMEOUT": 0.2}) as server:
        head = "POST /audience HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        assert (await raw(server, head)).startswith("HTTP/1.1 408 ")


async def raw(server: World, text: str) -> str:
    """Send bytes as they are; return the first line of the answer."""
    host, port = server.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(text.encode())
        return (await asyncio.wait_for(reader.readline(), 10)).decode()
    finally:
        writer.close()


async def test_too_large_a_body_is_refused_with_and_without_a_length(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, consuming=(), settings={"AUDIENCE_MAX_BODY": 10_000}) as server:
        assert (await answer(server, make_form(make_users(1000))))[0] == 413

        async def chunks() -> AsyncIterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="users"\r\n\r\n'
            for _ in range(20):
                yield b" " * 1000

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert (await answer(server, chunks(), headers=headers))[0] == 413


async def test_bodies_beyond_the_budget_are_put_off_before_they_are_read(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    settings = {"AUDIENCE_MAX_BODY": 10_000, "AUDIENCE_BODY_BUDGET": 15_000}
    async with world(kafka, topic_prefix, consuming=(), settings=settings) as server:
        host, port = server.url.removeprefix("http://").split(":")
        _, slow = await asyncio.open_connection(host, int(port))
        head = "POST /audience HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n"
        slow.write((head + "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n").encode())
        await slow.drain()
        padding = {"extra": "x" * 7000}
        async with asyncio.timeout(10):
            while (await answer(server, make_form(make_users(1), extra=padding)))[0] != 503:
                await asyncio.sleep(0.01)
        slow.close()
        async with asyncio.timeout(10):
            while (await answer(server, make_form(make_users(1), extra=padding)))[0] != 200:
                await asyncio.sleep(0.01)


@pytest.mark.kafka
async def test_without_kafka_nothing_is_accepted_until_it_is_back(tmp_path: Path, topic_prefix: str) -> None:
    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        async with world(kafka, topic_prefix, consuming=()) as server:
            await broker.stop()
            async with asyncio.timeout(30):
                while (await server.session.get(f"{server.url}/readyz")).status == 200:
                    await asyncio.sleep(0.05)
            status, body, headers = await server.upload(make_users(1))
            assert (status, headers["Retry-After"]) == (503, "5")
            assert body["errors"] == ["Kafka can't be reached; nothing was accepted, send the request again"]
            await broker.start()
            async with asyncio.timeout(30):
                while (await server.upload(make_users(1)))[0] != 200:
                    await asyncio.sleep(0.1)


@pytest.mark.kafka
async def test_a_sync_caller_is_told_to_look_later_where_kafka_goes_while_it_waits(
    tmp_path: Path, topic_prefix: str
) -> None:
    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        settings = {"AUDIENCE_SYNC_TIMEOUT": 2}
        async with world(kafka, topic_prefix, providers=["tiktok"], consuming=(), settings=settings) as server:
            upload = asyncio.create_task(server.upload(make_users(1), "?sync=true"))
            async with asyncio.timeout(20):
                while not await read_to_end(kafka, server.names.batches):
                    await asyncio.sleep(0.05)
            await broker.stop()
            status, body, headers = await upload
    assert status == 504
    assert body["errors"] == [f"tiktok: still in progress; see {server.url}{headers['Location']}"]
