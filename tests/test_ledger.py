"""The ledger in the whole product: receipts, sessions on two nodes, status, and a view that can be thrown away."""

import asyncio
import contextlib
import json
import sqlite3
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from test_pipeline import minimal_record, publish, single_object
from world import World, consuming_one, make_batch, make_form, make_users, sandbox_account, world

from audience import AudiencePublisher
from ledger.receipts import keep_receipts
from ledger.view import View
from producer.server import serving
from producer.settings import ServerSettings
from schemas.avro.codec import decode_batch_receipt
from schemas.avro.framing import Framing
from schemas.records import BatchReceipt
from schemas.target import parse_target
from streams.client.settings import KafkaSettings
from streams.cluster.cluster_id import cluster_id
from streams.read.tail import read_to_end


@asynccontextmanager
async def ledger(found: World) -> AsyncIterator[None]:
    """Keep receipts while the block is entered."""
    keeping = keep_receipts(found.kafka, found.names, Framing(), lambda _: nullcontext())
    task = asyncio.create_task(keeping)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def node(found: World, view: Path, *targets: str, **settings: object) -> AsyncIterator[str]:
    """Run one more ingestion node beside that of the world; yields its URL once it is ready."""
    chosen = ServerSettings.model_validate({"AUDIENCE_LISTEN": "127.0.0.1:0", **settings})
    accounts = [parse_target(target) for target in targets]
    async with serving(chosen, found.kafka, accounts, found.names, Framing(), view) as server:
        url = f"http://{server.address}"
        await until_ready(found, url)
        yield url


@asynccontextmanager
async def two_nodes(
    kafka: KafkaSettings, prefix: str, folder: Path, settings: Mapping[str, object] | None = None, **others: object
) -> AsyncIterator[tuple[World, str]]:
    """Run the product for Facebook with a ledger, and beside it a node with settings of its own; yield that's URL."""
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(world(kafka, prefix, providers=["facebook"], settings=settings))
        await stack.enter_async_context(ledger(found))
        yield found, await stack.enter_async_context(node(found, folder / "b.sqlite", "facebook", **others))


async def until_ready(found: World, url: str) -> None:
    """Return when a node says that it is ready."""
    async with asyncio.timeout(30):
        while True:
            async with found.session.get(f"{url}/readyz") as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.05)


async def get(found: World, path: str, url: str = "") -> tuple[int, Any]:
    """Ask a node, that of the world unless another is named."""
    async with found.session.get(f"{url or found.url}{path}") as response:
        return response.status, await response.json()


async def send(found: World, users: object, url: str = "", name: str = "VIP", **batch: object) -> tuple[int, Any]:
    """Upload a batch of a session to a node."""
    form = make_form(users, name=name, batch=make_batch(**batch))
    async with found.session.post(f"{url or found.url}/audience", data=form) as response:
        return response.status, await response.json() | {"batchId": response.headers.get("X-Batch-Id")}


async def receipts(found: World, count: int) -> list[BatchReceipt]:
    """Return the receipts, once so many are there."""
    async with asyncio.timeout(30):
        while len(records := await read_to_end(found.kafka, found.names.receipts)) < count:
            await asyncio.sleep(0.05)
    return [decode_batch_receipt(record.value) for record in records]


async def test_every_record_gets_a_receipt_with_its_verdict_whoever_published_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, consuming=()) as found, ledger(found):
        assert (await send(found, make_users(3), sequence=1))[0] == 200
        good, wrong = minimal_record(1, 2), {**minimal_record(1), "batchId": "no uuid"}
        await asyncio.to_thread(publish, found, single_object(good), single_object(wrong), b"garbage")
        told = {(one.verdict, one.source): one for one in await receipts(found, 4)}
        assert told["valid", "http"].users == 3
        assert told["valid", "http"].content_hash is not None
        assert (told["valid", None].batch_id, told["valid", None].users) == (good["batchId"], 2)
        assert told["invalid", None].reason == "batchId: expected a UUID"
        assert told["undecodable", None].name is None


async def test_a_missing_batch_is_named_within_a_second_and_sent_late_the_session_is_whole(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix) as found, ledger(found):
        three: dict[str, Any] = {"totalBatches": 3, "totalUsers": 6, "sessionId": 7}
        for sequence in (1, 3):
            assert (await send(found, make_users(2, sequence * 2), sequence=sequence, **three))[0] == 200
        status, told = await get(found, "/audience/sessions/7")
        run = told["runs"][0]
        assert (status, run["state"], run["missing"], run["users"]) == (200, "incomplete", [2], 4)
        assert [target["provider"] for target in run["targets"]] == ["facebook", "tiktok", "klaviyo"]
        assert (await send(found, make_users(2, 4), sequence=2, **three))[0] == 200
        status, told = await get(found, "/audience/sessions/7?wait=20")
        run = told["runs"][0]
        assert (run["state"], run["missing"], run["areTotalsRight"], run["users"]) == ("delivered", [], True, 6)
        assert {target["state"] for target in run["targets"]} == {"delivered"}


async def test_a_batch_s_status_is_never_older_than_its_sync_answer_and_lists_every_target_from_the_start(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix) as found:
        users = [*make_users(3), {"email": "nobody"}]
        status, body, headers = await found.upload(users, "?sync=true&detail=true", batch=make_batch(sessionId=5.0))
        assert status == 200
        assert headers["Location"] == f"/audience/batches/{body['batchId']}"
        _, told = await get(found, headers["Location"])
        assert (told["state"], told["name"], told["sessionId"], told["users"]) == ("partial", "VIP", "5", 4)
        facebook = told["targets"][0]
        ladder = {"inLog": 4, "sent": 3, "accepted": 3, "rejected": 1, "matched": None, "usable": None, "open": 0}
        assert (facebook["state"], facebook["users"]) == ("partial", ladder)
        _, rejected = await get(found, f"{headers['Location']}/rejected")
        assert {(one["index"], one["field"], one["reason"]) for one in rejected["rejected"]} == {
            (3, "email", "not_an_email")
        }
        assert all(one["remedy"] for one in rejected["rejected"])
        await found.inject(provider="tiktok", fault="stall", untilCleared=True)
        _, _, headers = await found.upload(make_users(1, 9), batch=make_batch(sessionId=6))
        _, told = await get(found, headers["Location"])
        assert {target["provider"] for target in told["targets"]} == {"facebook", "tiktok", "klaviyo"}
        await found.clear_faults()


async def test_a_parked_account_is_told_with_its_reason_and_what_to_do(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        await found.inject(provider="facebook", fault="auth", untilCleared=True)
        status, _, headers = await found.upload(make_users(1), "?sync=true")
        assert status == 400
        _, told = await get(found, headers["Location"])
        (target,) = told["targets"]
        assert (told["state"], target["state"], target["error"]["code"]) == ("blocked", "blocked", "token_invalid")
        assert target["error"]["remedy"] == "Set a new token."
        await found.clear_faults()
        _, told = await get(found, f"{headers['Location']}?wait=20")
        assert (told["state"], told["targets"][0]["error"]) == ("delivered", None)


async def test_accounts_tell_their_state_lag_and_consumer_and_what_they_have_lost(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook", "tiktok"], consuming=["tiktok"]) as found:
        for start in range(3):
            assert (await found.upload(make_users(1, start), batch=make_batch(sessionId=start)))[0] == 200
        await found.inject(provider="tiktok", fault="auth", untilCleared=True)
        batch = make_batch(sessionId=9)
        assert (await found.upload(make_users(1, 7), "?sync=true&channels=tiktok", batch=batch))[0] == 400
        async with asyncio.timeout(30):  # what Kafka says of the groups is of some seconds ago
            while not (told := (await get(found, "/audience/accounts"))[1])["accounts"][1]["hasConsumer"]:
                await asyncio.sleep(0.1)
        facebook, tiktok = told["accounts"]
        assert 0 <= told["secondsOld"] < 30
        assert (facebook["state"], facebook["behind"], facebook["hasConsumer"]) == ("running", 4, False)
        assert (tiktok["state"], tiktok["hasConsumer"], tiktok["error"]["code"]) == ("blocked", True, "token_invalid")
        assert tiktok["since"]
        await found.clear_faults()
        await asyncio.to_thread(delete_log, found, 2)
        async with consuming_one(sandbox_account(parse_target("facebook"), found.sandbox_url), kafka, found.names):
            async with asyncio.timeout(30):
                while not (facebook := (await get(found, "/audience/accounts"))[1]["accounts"][0])["lost"]:
                    await asyncio.sleep(0.1)
        (lost,) = facebook["lost"]
        assert (lost["firstOffset"], lost["endOffset"], lost["records"]) == (0, 2, 2)


def delete_log(found: World, before: int) -> None:
    """Delete the records before an offset, as retention does, in the partition that has some."""
    admin = AdminClient({"bootstrap.servers": found.kafka.bootstrap_servers})
    wanted = [TopicPartition(found.names.batches, number) for number in range(12)]
    ends = admin.list_offsets({partition: OffsetSpec.latest() for partition in wanted})
    used = [partition for partition, end in ends.items() if end.result().offset]
    chosen = [TopicPartition(partition.topic, partition.partition, before) for partition in used]
    for future in admin.delete_records(chosen).values():
        future.result()


async def test_two_nodes_see_each_other_s_batches_and_a_retry_writes_nothing_and_a_contradiction_is_refused(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    two: dict[str, Any] = {"sessionId": 7, "totalBatches": 2, "totalUsers": 4}
    async with two_nodes(kafka, topic_prefix, tmp_path) as (found, other):
        status, first = await send(found, make_users(2), sequence=1, **two)
        assert status == 200
        await known(found, first["batchId"], other)
        for url in (found.url, other):
            assert await send(found, make_users(2), url, sequence=1, **two) == (200, first)
            status, body = await send(found, make_users(2, 50), url, sequence=1, **two)
            assert status == 409
            assert first["batchId"] in body["errors"][0]
            assert "differs in users" in body["errors"][0]
            status, body = await send(found, make_users(2), url, sequence=1, **{**two, "totalUsers": 5})
            assert "differs in totalUsers" in body["errors"][0]
        assert len(await read_to_end(kafka, found.names.batches)) == 1
        assert (await send(found, make_users(2, 2), other, sequence=2, **two))[0] == 200
        _, told = await get(found, "/audience/sessions/7?wait=20", other)
        assert told["runs"][0]["state"] == "delivered"
        _, again = await send(found, make_users(2, 90), other, sequence=1, **two)  # the run is whole: a new one
        assert again["batchId"] != first["batchId"]
        _, told = await get(found, "/audience/sessions/7", other)
        assert [run["missing"] for run in told["runs"]] == [[2], []]


Told = tuple[str, list[int], list[str]]
"""Of a run its state, the missing sequences, and the marks of its batches."""

Step = tuple[str, int, int, int]
"""Where a batch goes (node a or b, or past both to the topic), its sequence, its users, and the session's users."""


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([("a", 0, 2, 4), ("b", 1, 2, 4)], [("delivered", [], [])], id="from 0"),
        pytest.param([("b", 2, 2, 4), ("a", 1, 2, 4)], [("delivered", [], [])], id="from 1, in any order"),
        pytest.param([("a", 2, 2, 4)], [("incomplete", [1], [])], id="missing"),
        pytest.param([("a", 1, 2, 5), ("b", 2, 2, 5)], [("incomplete", [], [])], id="wrong totals"),
        pytest.param(
            [("topic", 1, 2, 4), ("topic", 1, 2, 4), ("b", 2, 2, 4)], [("delivered", [], ["repeated"])], id="repeated"
        ),
        pytest.param(
            [("topic", 1, 2, 4), ("topic", 1, 3, 4), ("a", 2, 2, 4)],
            [("delivered", [], ["contradictory"])],
            id="contradictory",
        ),
        pytest.param(
            [("a", 1, 2, 4), ("b", 2, 2, 4), ("b", 1, 3, 5), ("a", 2, 2, 5)],
            [("delivered", [], []), ("delivered", [], [])],
            id="a new run",
        ),
    ],
)
async def test_two_nodes_tell_the_same_of_every_kind_of_session(
    kafka: KafkaSettings,
    topic_prefix: str,
    tmp_path: Path,
    steps: list[Step],
    expected: list[Told],
) -> None:
    async with (
        two_nodes(kafka, topic_prefix, tmp_path) as (found, other),
        AudiencePublisher(kafka, prefix=topic_prefix) as publisher,
    ):
        for where, sequence, users, total in steps:
            batch_id = await take_step(
                found, publisher, {"a": found.url, "b": other}.get(where), sequence, users, total
            )
            for url in (found.url, other):
                await known(found, batch_id, url)
        for url in (found.url, other):
            async with asyncio.timeout(20):
                while expected != (told := await runs(found, url)):
                    assert told
                    await asyncio.sleep(0.1)


async def take_step(
    found: World, publisher: AudiencePublisher, url: str | None, sequence: int, users: int, total: int
) -> str:
    """Send one batch of a session of two; return its id."""
    batch: dict[str, Any] = {"sequence": sequence, "total_batches": 2, "total_users": total}
    if url is None:
        return (await publisher.publish(make_users(users), name="VIP", session_id=7, **batch)).batch_id
    given: dict[str, Any] = {"sessionId": 7, "sequence": sequence, "totalBatches": 2, "totalUsers": total}
    status, body = await send(found, make_users(users, sequence * 10), url, **given)
    assert status == 200, body
    return str(body["batchId"])


async def runs(found: World, url: str) -> list[Told]:
    """Return of each run of session 7, the oldest first, its state, what is missing, and its batches' marks."""
    _, told = await get(found, "/audience/sessions/7", url)
    return [
        (run["state"], run["missing"], [batch["mark"] for batch in run["batches"] if batch["mark"]])
        for run in reversed(told["runs"])
    ]


async def test_a_batch_that_comes_after_the_window_is_late_and_completes_its_session(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    settings = {"AUDIENCE_RETRY_WINDOW": 0.3}
    async with two_nodes(kafka, topic_prefix, tmp_path, settings, **settings) as (found, other):
        for sequence, url in ((1, found.url), (2, other)):
            await take_step(found, AudiencePublisher(kafka), url, sequence, 2, 4)
            await asyncio.sleep(0.5)  # the window must be over by Kafka's clock
        for url in (found.url, other):
            async with asyncio.timeout(20):
                while await runs(found, url) != [("delivered", [], ["late"])]:
                    await asyncio.sleep(0.1)


async def known(found: World, batch_id: str, url: str) -> None:
    """Return when a node knows a batch."""
    async with asyncio.timeout(20):
        while (await get(found, f"/audience/batches/{batch_id}", url))[0] != 200:
            await asyncio.sleep(0.05)


async def test_clients_that_always_send_the_same_session_work_and_a_failed_batch_may_be_sent_again(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    one: dict[str, Any] = {"sessionId": 1, "sequence": 1, "totalBatches": 1}
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        ids = {(await send(found, make_users(n), totalUsers=n, **one))[1]["batchId"] for n in (1, 2, 3)}
        assert len(ids) == 3
        await found.inject(provider="facebook", fault="invalid", operation="upload", untilCleared=True)
        status, _, headers = await found.upload(make_users(4), "?sync=true", batch=make_batch(**one, totalUsers=4))
        assert status == 400
        await found.clear_faults()
        status, _, again = await found.upload(make_users(4), "?sync=true", batch=make_batch(**one, totalUsers=4))
        assert status == 200
        assert again["X-Batch-Id"] != headers["X-Batch-Id"]
        _, told = await get(found, "/audience/sessions/1")
        assert len(told["runs"]) >= 4


async def test_the_same_batch_twice_at_the_same_moment_is_written_once_and_others_of_its_session_wait_for_nobody(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    one: dict[str, Any] = {"sessionId": 1, "sequence": 1, "totalBatches": 1, "totalUsers": 2}
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        same = [send(found, make_users(2), **one) for _ in range(5)]
        others = [send(found, make_users(2, start), **one) for start in (10, 20, 30)]
        told = await asyncio.gather(*same, *others)
        assert {status for status, _ in told} == {200}
        assert len({body["batchId"] for _, body in told}) == 1 + 3
        assert len(await read_to_end(kafka, found.names.batches)) == 1 + 3


async def test_a_sync_upload_that_timed_out_is_asked_again_and_waits_on_the_same_batch(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """Also by another node, as when the one that waited was restarted."""
    settings = {"AUDIENCE_SYNC_TIMEOUT": 0.5}
    async with two_nodes(kafka, topic_prefix, tmp_path, settings) as (found, other):
        await found.inject(provider="facebook", fault="stall", untilCleared=True)
        status, _, headers = await found.upload(make_users(2), "?sync=true")
        assert status == 504
        await known(found, headers["X-Batch-Id"], other)
        form = make_form(make_users(2), batch=make_batch())
        asking = asyncio.create_task(found.session.post(f"{other}/audience?sync=true", data=form))
        await found.clear_faults()
        async with await asking as response:
            assert (response.status, response.headers["X-Batch-Id"]) == (200, headers["X-Batch-Id"])
        assert len(await read_to_end(kafka, found.names.batches)) == 1


def remove_view(file: Path) -> None:
    """Throw a view away."""
    for path in file.parent.glob(f"{file.name}*"):
        path.unlink()


async def test_a_view_that_is_thrown_away_under_load_is_built_again_and_answers_as_the_other_node(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "b.sqlite"
    async with world(kafka, topic_prefix) as found, ledger(found):
        async with node(found, file, *("facebook", "tiktok", "klaviyo")):
            for number in range(20):
                assert (await send(found, make_users(2, number), sessionId=number))[0] == 200
        remove_view(file)
        more = asyncio.create_task(
            found.upload(make_users(3), "?sync=true", batch=make_batch(sessionId=99, totalUsers=3))
        )
        async with node(found, file, *("facebook", "tiktok", "klaviyo")) as other:
            assert (await more)[0] == 200
            await receipts(found, 21)
            for number in (*range(20), 99):
                path = f"/audience/sessions/{number}?wait=20"
                async with asyncio.timeout(20):
                    while await get(found, path) != await get(found, path, other):
                        await asyncio.sleep(0.1)
            _, mine = await get(found, "/audience/sessions?limit=100")
            _, others = await get(found, "/audience/sessions?limit=100", other)
            assert mine == others
            assert len(mine["sessions"]) == 21


async def test_while_its_view_is_being_built_a_node_says_so_takes_uploads_and_then_catches_up(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "b.sqlite"
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, ledger(found):
        assert (await found.upload(make_users(2), "?sync=true"))[0] == 200
        await receipts(found, 1)
        view = View(file, f"{await cluster_id(kafka)}/{topic_prefix}", found.names.batches)
        view.open()
        view.close()
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as hold:
            hold.execute("BEGIN IMMEDIATE")  # nobody else can write now
            chosen = ServerSettings.model_validate({"AUDIENCE_LISTEN": "127.0.0.1:0"})
            accounts = [parse_target("facebook")]
            async with serving(chosen, kafka, accounts, found.names, Framing(), file) as server:
                url = f"http://{server.address}"
                async with found.session.get(f"{url}/readyz") as response:
                    assert (response.status, await response.text()) == (503, "the view is being built, 0% is done")
                status, body = await get(found, "/audience/sessions", url)
                assert (status, body["errors"]) == (503, ["status: the view is being built, 0% is done; come again"])
                hold.execute("ROLLBACK")
                await until_ready(found, url)
                assert await get(found, "/audience/sessions/1", url) == await get(found, "/audience/sessions/1")


async def test_sessions_are_listed_newest_first_by_filter_and_page_by_page(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        for number in range(5):
            name = f"VIP {number % 2}"
            assert (await send(found, make_users(1), name=name, sessionId=number, totalUsers=1))[0] == 200
        seen, path = [], "/audience/sessions?limit=2"
        while path:
            _, page = await get(found, path)
            seen += [one["sessionId"] for one in page["sessions"]]
            path = page["next"] and f"/audience/sessions?limit=2&cursor={page['next']}"
        assert seen == ["4", "3", "2", "1", "0"]
        _, page = await get(found, "/audience/sessions?name=VIP 1&since=1h")
        assert [one["sessionId"] for one in page["sessions"]] == ["3", "1"]
        _, page = await get(found, "/audience/sessions?state=incomplete")
        assert page["sessions"] == []


@pytest.mark.parametrize(
    ("path", "status", "named"),
    [
        (f"/audience/batches/{uuid.UUID(int=7)}", 404, "path"),
        ("/audience/sessions/12345", 404, "path"),
        ("/audience/sessions?state=odd", 400, "state"),
        ("/audience/sessions?type=odd&limit=x", 400, "limit"),
        ("/audience/sessions?limit=0", 400, "limit"),
        ("/audience/sessions?State=failed", 400, "State"),
        ("/audience/sessions?stat=failed", 400, "stat"),
        ("/audience/sessions?limit=1&limit=2", 400, "limit"),
        ("/audience/sessions?foo=1", 400, "foo"),
        ("/audience/batches?session=1", 400, "session"),
        ("/audience/sessions/1?Wait=1", 400, "Wait"),
        ("/audience/sessions?since=yesterday", 400, "since"),
        ("/audience/sessions?cursor=abc", 400, "cursor"),
        (f"/audience/batches/{uuid.UUID(int=7)}?wait=-1", 400, "wait"),
    ],
)
async def test_a_wrong_question_is_told_what_to_send(
    kafka: KafkaSettings, topic_prefix: str, path: str, status: int, named: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        told, body = await get(found, path)
        assert told == status
        assert any(error.startswith(named) for error in body["errors"]), json.dumps(body)


async def test_with_tokens_status_needs_one(kafka: KafkaSettings, topic_prefix: str) -> None:
    settings = {"AUDIENCE_API_TOKENS": "made-up-token"}
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=(), settings=settings) as found:
        for path in ("/audience/sessions", "/audience/sessions/1", f"/audience/batches/{uuid.UUID(int=7)}"):
            assert (await get(found, path))[0] == 401


@pytest.mark.parametrize("channels", [[], ["facebook/eu"], ["myspace"]])
async def test_a_batch_that_no_account_takes_is_nobody_s_and_nobody_waits_for_it(
    kafka: KafkaSettings, topic_prefix: str, channels: list[str]
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found, ledger(found):
        place = {"sessionId": "7", "sequence": 1, "totalBatches": 1, "totalUsers": 2}
        record = {**minimal_record(1, 2), **place, "channels": channels}
        await asyncio.to_thread(publish, found, single_object(record))
        await known(found, str(record["batchId"]), found.url)
        async with asyncio.timeout(30):
            _, batch = await get(found, f"/audience/batches/{record['batchId']}?wait=300")
            _, session = await get(found, "/audience/sessions/7?wait=300")
        assert (batch["verdict"], batch["state"], batch["targets"]) == ("valid", "nobody", [])
        (run,) = session["runs"]
        assert (run["state"], run["batches"][0]["state"], run["targets"]) == ("nobody", "nobody", [])
        for state, sessions in (("nobody", ["7"]), ("delivered", [])):
            _, page = await get(found, f"/audience/sessions?state={state}")
            assert [one["sessionId"] for one in page["sessions"]] == sessions


async def test_a_run_of_which_a_batch_reached_nobody_is_delivered_in_part_only(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, ledger(found):
        for sequence, channels in ((1, None), (2, ["tiktok"])):
            place = {"sessionId": "7", "sequence": sequence, "totalBatches": 2, "totalUsers": 2}
            record = {**minimal_record(sequence), **place, "channels": channels}
            await asyncio.to_thread(publish, found, single_object(record))
            await known(found, str(record["batchId"]), found.url)
        _, session = await get(found, "/audience/sessions/7?wait=30")
        (run,) = session["runs"]
        assert [batch["state"] for batch in run["batches"]] == ["delivered", "nobody"]
        assert (run["state"], run["targets"][0]["state"]) == ("partial", "delivered")


async def test_where_no_account_is_configured_a_sync_caller_is_told_and_the_upload_stands(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=()) as found:
        status, body, headers = await found.upload(make_users(1), "?sync=true&detail=true")
        assert (status, body["results"]) == (400, [])
        assert body["errors"][0].startswith("accounts: none is configured on this server, so that nobody gets this")
        assert (await get(found, headers["Location"]))[1]["state"] == "nobody"
        status, _, again = await found.upload(make_users(1))
        assert status == 200
        assert again["X-Batch-Id"] != headers["X-Batch-Id"], "what reached nobody may be sent again"
