"""What an upload is to do with its users: who was to leave is never added, whatever a client made of `mode`."""

import asyncio
import contextlib
import dataclasses
import sqlite3
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from test_ledger import get, ledger, node, receipts
from test_partitions import add_partitions
from world import World, make_batch, make_form, make_users, world
from yarl import URL

from audience import AudiencePublisher
from audience.publisher import NothingWrittenError
from producer.server import serving
from producer.settings import ServerSettings
from schemas.avro.codec import decode_audience_batch, encode_audience_batch, encode_batch_completion
from schemas.avro.framing import Framing
from schemas.home_partition import home_partition
from schemas.records import AudienceBatch, AudienceUser, BatchCompletion, BatchReceipt, Counts, Mode, Origin
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end
from streams.read.topic_offsets import end_offsets
from streams.tables.removals import know_removals
from streams.write.writer import Writer


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(kafka: KafkaSettings) -> AsyncIterator[World]:
    async with world(kafka, "test-mode", providers=["facebook", "klaviyo"], consuming=()) as found:
        yield found


async def answer(server: World, query: str, part: str | None = None) -> tuple[int, list[str]]:
    """Return how an upload with this query is answered, and with which errors."""
    form = make_form(make_users(1))
    if part is not None:
        form.add_field(part, "remove")
    url = URL(f"{server.url}/audience{query}", encoded=True)
    async with server.session.post(url, data=form) as response:
        return response.status, (await response.json()).get("errors", [])


async def know(server: World, *readers: str) -> None:
    """Let readers of the log say that they know removals."""
    async with Writer(server.kafka) as writer:
        for reader in readers:
            await know_removals(server.kafka, writer, server.names.accounts, reader, Framing(), now)


def now() -> datetime:
    return datetime.now(UTC)


async def refused(server: World, told: str) -> None:
    """Return once a removal is refused by these words, as the server reads a moment later who knows removals."""
    async with asyncio.timeout(30):
        while True:
            form = make_form(make_users(1))
            async with server.session.post(f"{server.url}/audience?mode=remove", data=form) as response:
                assert (response.status, response.headers.get("Retry-After")) == (503, "5")
                if (await response.json())["errors"][0].startswith(f"mode: {told} not know removals yet: "):
                    return


async def removed(server: World, **form: Any) -> tuple[int, Any, Mapping[str, str]]:
    """Upload a removal, once the server has read that all know them."""
    async with asyncio.timeout(30):
        while (found := await server.upload(make_users(1), "?mode=remove", **form))[0] == 503:
            await asyncio.sleep(0.05)
    return found


async def records(server: World) -> int:
    return sum(await end_offsets(server.kafka, server.names.batches))


@pytest.mark.asyncio(loop_scope="module")
async def test_add_is_what_is_done_without_a_mode(server: World) -> None:
    before = await records(server)
    assert await answer(server, "?mode=add") == (200, [])
    assert await records(server) == before + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_remove_is_refused_whole_until_every_account_and_the_ledger_know_it(server: World) -> None:
    before = await records(server)
    await refused(server, "facebook, klaviyo and the ledger do")
    await know(server, "facebook")
    await refused(server, "klaviyo and the ledger do")
    await know(server, "klaviyo")
    await refused(server, "the ledger does")
    assert await records(server) == before
    await know(server, "ledger")
    assert (await removed(server))[0] == 200
    assert await records(server) == before + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_without_keys_to_remember_who_was_removed_remove_is_refused_by_the_name_of_the_setting(
    server: World, tmp_path: Path
) -> None:
    chosen = ServerSettings.model_validate({"AUDIENCE_LISTEN": "127.0.0.1:0"})
    view = tmp_path / "view.sqlite"
    async with serving(chosen, server.kafka, [], server.names, Framing(), view, can_hash=False) as other:
        without = dataclasses.replace(server, url=f"http://{other.address}")
        status, errors = await answer(without, "?mode=remove")
        assert (status, errors[0].startswith("mode: AUDIENCE_HASH_KEYS is not set here")) == (503, True)
        assert (await answer(without, ""))[0] == 200


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?mode=", "mode: send add or remove"),
        ("?mode=REMOVE", "mode: send add or remove"),
        ("?mode=delete", "mode: send add or remove"),
        ("?mode=remove&mode=add", "mode: send it once"),
        ("?Mode=remove", "Mode: send mode"),
        ("?mode[]=remove", "mode[]: send mode"),
        ("?moed=remove", "moed: send mode"),
        ("?mod=remvoe", "mod: send mode"),
        ("?code=remove", "code: send mode"),
        ("?mode%3Dremove", "mode: it stands within another name or value of the query; send ?mode=remove"),
        ("?filter[mode]=remove", "mode: it stands within another name or value of the query; send ?mode=remove"),
        ("?a=1;mode=remove", "mode: it stands within another name or value of the query; send ?mode=remove"),
        ("?sync=false%26mode=remove", "mode: it stands within another name or value of the query; send ?mode=remove"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_mode_that_is_almost_right_adds_nobody(server: World, query: str, told: str) -> None:
    before = await records(server)
    status, errors = await answer(server, query)
    assert status == 400
    assert told in errors
    assert await records(server) == before


@pytest.mark.parametrize("part", ["mode", "Mode", "mode[]"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_mode_as_a_part_adds_nobody(server: World, part: str) -> None:
    assert await answer(server, "", part) == (400, ["mode: it came as a part; send it in the query"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_mode_within_batch_adds_nobody_and_is_told_where_it_belongs(server: World) -> None:
    place = {"sessionId": 1, "sequence": 1, "totalBatches": 1, "totalUsers": 1, "mode": "remove"}
    status, body, _ = await server.upload(make_users(1), batch=place)
    assert (status, "batch.mode: expected in the query" in str(body)) == (400, True)


@pytest.mark.parametrize("query", ["?code=7", "?model=gpt", "?node=a", "?mod=1", "?modern=remove", "?move=north"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_word_that_is_near_mode_by_chance_is_ignored_as_before(server: World, query: str) -> None:
    assert await answer(server, query) == (200, [])


@asynccontextmanager
async def knowing(kafka: KafkaSettings, prefix: str, *providers: str) -> AsyncIterator[World]:
    """Run ingestion and the ledger beside accounts that know removals, and of whose work a test tells itself."""
    async with world(kafka, prefix, providers=providers or ["facebook"], consuming=()) as found, ledger(found):
        await know(found, *(providers or ["facebook"]))
        yield found


async def log_of(found: World) -> list[tuple[int, AudienceBatch]]:
    """Return what stands in the log, each with its partition, in the order of its arrival."""
    records = await read_to_end(found.kafka, found.names.batches)
    ordered = sorted(records, key=lambda record: (record.timestamp or now(), record.origin))
    return [(record.origin.partition, decode_audience_batch(record.value)) for record in ordered]


async def tell(found: World, origin: Origin, mode: Mode = "remove", **changes: Any) -> None:
    """Say, as an account does, what became of a record."""
    fields = {"provider": "facebook", "status": "delivered", "mode": mode, "finished_at": now(), **changes}
    completion = BatchCompletion(origin=origin, **fields)
    async with Writer(found.kafka) as writer:
        await writer.send(found.names.completions, str(origin), encode_batch_completion(completion))


async def answered(found: World, query: str, **completion: Any) -> tuple[int, Any]:
    """Upload ten users to be removed with `sync`, say what became of it, and return the answer."""
    waiting = asyncio.create_task(found.upload(make_users(10), f"?mode=remove&sync=true{query}"))
    ends: list[int] = []
    async with asyncio.timeout(30):
        while not sum(ends):
            ends = await end_offsets(found.kafka, found.names.batches)
            if waiting.done():
                waiting = asyncio.create_task(found.upload(make_users(10), f"?mode=remove&sync=true{query}"))
    [(partition, batch)] = await log_of(found)
    origin = Origin(topic=found.names.batches, partition=partition, offset=0)
    await tell(found, origin, batch_id=batch.batch_id, **completion)
    status, body, _ = await waiting
    return status, body


async def test_add_remove_and_add_of_one_person_within_a_minute_are_three_effects(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with knowing(kafka, topic_prefix) as found:
        assert (await found.upload(make_users(1)))[0] == 200
        assert (await removed(found))[0] == 200
        _, _, third = await found.upload(make_users(1))
        _, _, again = await found.upload(make_users(1))
        assert again["X-Batch-Id"] == third["X-Batch-Id"], "of which this is a retry"
        assert [batch.mode for _, batch in await log_of(found)] == ["add", "remove", "add"]
        _, told = await get(found, "/audience/sessions/1")
        assert [(run["mode"], len(run["batches"])) for run in told["runs"]] == [("add", 1), ("remove", 1), ("add", 1)]
        assert all(batch["mark"] is None for run in told["runs"] for batch in run["batches"])


async def test_what_another_node_removed_a_moment_ago_is_no_reason_to_take_an_addition_for_a_retry(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """No ledger tells it, so that this node can't know of the removal: it sees that it does not know all."""
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        await know(found, "facebook", "ledger")
        assert (await removed(found, name="Another"))[0] == 200
        assert (await found.upload(make_users(1)))[0] == 200
        removal = AudienceBatch(batch_id=str(uuid.uuid4()), name="VIP", mode="remove", users=[AudienceUser(email="a")])
        async with Writer(kafka) as writer:
            home = home_partition(removal.key, 12)
            await writer.send(found.names.batches, removal.key, encode_audience_batch(removal), partition=home)
        assert (await found.upload(make_users(1)))[0] == 200
        modes = [batch.mode for _, batch in await log_of(found) if batch.name == "VIP"]
        assert modes == ["add", "remove", "add"]


async def test_a_removal_repeated_is_a_retry_and_under_another_name_of_its_audience_none(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with knowing(kafka, topic_prefix) as found:
        _, _, first = await removed(found, name="VIP customers")
        _, _, again = await removed(found, name="VIP customers")
        assert first["X-Batch-Id"] == again["X-Batch-Id"]
        assert (await found.upload(make_users(1), name="VIP_customers"))[0] == 200
        await receipts(found, 2)
        _, _, third = await removed(found, name="VIP customers")
        assert third["X-Batch-Id"] != first["X-Batch-Id"]


@pytest.mark.parametrize(
    ("completion", "status", "errors"),
    [
        ({"counts": Counts(received=10, accepted=10, removed=4)}, 200, []),
        ({"counts": Counts(received=10, accepted=10, removed=0)}, 200, []),
        ({"counts": Counts(received=10, accepted=0, removed=0)}, 200, []),
        ({"counts": Counts(received=10, accepted=3, superseded=7)}, 200, []),
        (
            {
                "status": "partial",
                "counts": Counts(received=10, accepted=9, rejected=1),
                "rejected_reasons": {"email: not_an_email": 1},
            },
            200,
            [],
        ),
        (
            {
                "status": "partial",
                "counts": Counts(received=10, accepted=9, rejected=1),
                "rejected_reasons": {"refused_by_platform": 1},
            },
            400,
            ["facebook: 1 of 10 users were not removed (refused_by_platform: 1)"],
        ),
        (
            {
                "status": "partial",
                "counts": Counts(received=10, rejected=10),
                "rejected_reasons": {"email: not_an_email": 10},
            },
            400,
            ["facebook: no user was removed (email: not_an_email: 10)"],
        ),
        (
            {
                "status": "partial",
                "counts": Counts(received=10, rejected=10),
                "rejected_reasons": {"no_identifier": 9, "email: not_an_email": 1},
            },
            400,
            [
                "facebook: no user was removed (no_identifier: 9, email: not_an_email: 1). Add an e-mail address or a "
                "phone number: names and postal codes alone identify nobody."
            ],
        ),
        (
            {
                "status": "failed",
                "error_code": "removal_refused",
                "platform_code": "100/1713230",
                "counts": Counts(received=10),
            },
            400,
            ["facebook: removal_refused (100/1713230)"],
        ),
        (
            {
                "status": "retrying",
                "error_code": "unisolated",
                "counts": Counts(received=1000, accepted=999, open=1),
            },
            400,
            ["facebook: unisolated: 1 of 1000, tried again"],
        ),
    ],
)
async def test_a_removal_succeeded_when_all_were_taken_whom_the_platform_can_know(
    kafka: KafkaSettings, topic_prefix: str, completion: dict[str, Any], status: int, errors: list[str]
) -> None:
    async with knowing(kafka, topic_prefix) as found:
        told, body = await answered(found, "&detail=true", **completion)
        assert (told, body.get("errors", [])) == (status, errors)
        (result,) = body["results"]
        counts = completion["counts"]
        assert (result["removed"], result["superseded"]) == (counts.removed, counts.superseded)


async def test_the_status_of_a_removal_tells_the_mode_who_was_removed_and_what_is_waited_for(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with knowing(kafka, topic_prefix, "facebook", "klaviyo") as found:
        _, _, headers = await removed(found)
        [(partition, _)] = await log_of(found)
        origin = Origin(topic=found.names.batches, partition=partition, offset=0)
        counts = Counts(received=1, accepted=1, removed=1, other_identifiers_unknown=1)
        await tell(found, origin, counts=counts)
        waits: dict[str, Any] = {"status": "retrying", "error_code": "removal_pending", "waits_for": 0}
        await tell(found, origin, provider="klaviyo", counts=Counts(received=1), **waits)
        async with asyncio.timeout(30):
            while True:
                _, told = await get(found, headers["Location"])
                facebook, klaviyo = told["targets"]
                if (facebook["state"], klaviyo["state"]) == ("delivered", "retrying"):
                    break
        assert (told["mode"], told["isHome"]) == ("remove", True)
        ladder = {"removed": 1, "superseded": 0, "otherIdentifiersUnknown": 1}
        assert facebook["users"].items() >= ladder.items()
        assert klaviyo["users"]["removed"] is None
        assert klaviyo["waitsFor"] == str(origin)
        _, page = await get(found, "/audience/sessions")
        assert [one["mode"] for one in page["sessions"]] == ["remove"]


async def test_every_batch_goes_home_whatever_partitions_are_added_and_a_removal_elsewhere_is_invalid(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    names = [f"List {number}" for number in range(6)]
    homes = [home_partition(f"custom:{name}", 12) for name in names]
    assert homes != [home_partition(f"custom:{name}", 30) for name in names]
    async with knowing(kafka, topic_prefix) as found:
        await add_partitions(kafka, found.names.batches, 30)
        for name in names:
            assert (await found.upload(make_users(1), name=name, batch=make_batch(sessionId=2)))[0] == 200
        async with AudiencePublisher(kafka, prefix=topic_prefix) as publisher:
            for name in names:
                await publisher.publish([{"email": "ada@example.com"}], name=name)
        for partition, batch in await log_of(found):
            assert partition == home_partition(batch.key, 12)
        modes: tuple[Mode, ...] = ("add", "remove")
        away = {mode: elsewhere(name, mode) for name, mode in zip(names, modes, strict=False)}
        async with Writer(kafka) as writer:
            for batch in away.values():
                place = (home_partition(batch.key, 12) + 1) % 12
                await writer.send(found.names.batches, batch.key, encode_audience_batch(batch), partition=place)
        told = {receipt.batch_id: receipt for receipt in await receipts(found, 14)}
        assert judged(told[away["add"].batch_id]) == ("valid", None, False, "add")
        home = home_partition(away["remove"].key, 12)
        wrong = f"partition: wrong partition for a removal; write it to {home}, the home partition of its key type:name"
        assert judged(told[away["remove"].batch_id]) == ("invalid", wrong, False, "remove")
        assert {receipt.is_home for receipt in told.values()} == {True, False}
        _, status = await get(found, f"/audience/batches/{away['add'].batch_id}?wait=1")
        assert status["isHome"] is False


def elsewhere(name: str, mode: Mode) -> AudienceBatch:
    return AudienceBatch(batch_id=str(uuid.uuid4()), name=name, mode=mode, users=[AudienceUser(email="a@example.com")])


def judged(receipt: BatchReceipt) -> tuple[str, str | None, bool | None, Mode]:
    return receipt.verdict, receipt.reason, receipt.is_home, receipt.mode


async def test_a_publisher_removes_once_the_accounts_that_it_is_for_and_the_ledger_know_removals(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    people = [{"email": "ada@example.com"}]
    async with (
        world(kafka, topic_prefix, providers=["facebook", "klaviyo"], consuming=()) as found,
        AudiencePublisher(kafka, prefix=topic_prefix) as publisher,
    ):
        with pytest.raises(NothingWrittenError, match="facebook, klaviyo and the ledger do not know removals yet"):
            await publisher.publish(people, name="VIP", mode="remove")
        await know(found, "facebook", "ledger")
        with pytest.raises(NothingWrittenError, match="klaviyo does not know removals yet"):
            await publisher.publish(people, name="VIP", mode="remove")
        assert await records(found) == 0
        published = await publisher.publish(people, name="VIP", mode="remove", channels=["facebook"])
        [(partition, batch)] = await log_of(found)
        assert (batch.mode, batch.batch_id) == ("remove", published.batch_id)
        assert partition == home_partition("custom:VIP", 12)


async def test_a_removal_that_left_somebody_in_is_no_retry_when_it_is_sent_again(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with knowing(kafka, topic_prefix) as found:
        some = Counts(received=10, accepted=9, rejected=1)
        await answered(found, "", status="partial", counts=some, rejected_reasons={"refused_by_platform": 1})
        status, _, _ = await found.upload(make_users(10), "?mode=remove")
        assert status == 200
        assert [batch.mode for _, batch in await log_of(found)] == ["remove", "remove"]


async def test_what_a_node_can_not_read_is_counted_and_read_by_its_next_version(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "view.sqlite"
    async with knowing(kafka, topic_prefix) as found:
        async with node(found, file, "facebook") as url:
            async with Writer(kafka) as writer:
                await writer.send(found.names.completions, "x", b"\xc3\x01 of a newer version")
            async with asyncio.timeout(30):
                while (await get(found, "/audience/accounts", url))[1]["unread"] != 1:
                    await asyncio.sleep(0.05)
            _, _, headers = await found.upload(make_users(1))
            status, _ = await get(found, f"{headers['Location']}?wait=1", url)
            assert status == 200, "it holds up nothing"
        with contextlib.closing(sqlite3.connect(file)) as view, view:
            view.execute("UPDATE meta SET value = 'other schemas' WHERE name = 'readable'")
        async with node(found, file, "facebook") as url:
            assert (await get(found, "/audience/accounts", url))[1]["unread"] == 1, "it was read again, in vain"
