"""The main job on a real Kafka: from an upload, or a record on the topic, to what the platforms hold."""

import asyncio
import hashlib
import io
import json
import subprocess
import uuid
from pathlib import Path

import fastavro
import pytest
from confluent_kafka import Producer
from fastavro.schema import fingerprint, to_parsing_canonical_form
from tools import needs
from world import ALL, UNLIMITED, World, consuming_one, make_batch, make_users, sandbox_account, world

from consumer.retries.clock import Time
from providers.kit.provider import Rejection
from providers.tiktok import TikTok
from sandbox import SandboxOptions
from schemas.avro.codec import decode_batch_completion
from schemas.avro.framing import Framing
from schemas.records import AudienceUser
from schemas.target import Target
from streams.client.schema_registry import ConfluentRegistry
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.tail import read_to_end

SCHEMA = Path(__file__).parent.parent / "schemas" / "AudienceBatch.avsc"


def hashes(*people: int) -> set[tuple[str, ...]]:
    """Return what Facebook and TikTok hold of made-up users."""
    return {(hashlib.sha256(f"person{n}@example.com".encode()).hexdigest(),) for n in people}


async def test_an_upload_reaches_every_platform_and_a_sync_caller_is_told_what_each_did(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix) as found:
        users = [*make_users(3), {"email": "nobody"}, {"phone": 14155550100}]
        status, body, headers = await found.upload(users, "?sync=true&detail=true")
        assert status == 200, body
        assert body["batchId"] == headers["X-Batch-Id"]
        told = {result["provider"]: result for result in body["results"]}
        assert {name: (told[name]["accepted"], told[name]["rejected"]) for name in ALL} == dict.fromkeys(ALL, (4, 1))
        assert told["tiktok"]["reasons"] == {"email: not_an_email": 1}
        phone = (hashlib.sha256(b"14155550100").hexdigest(),)
        assert await found.members("facebook") == hashes(0, 1, 2) | {phone}
        assert ("+14155550100",) in await found.members("klaviyo")


async def test_rejected_users_are_named_by_their_index_in_the_request(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        users = [*make_users(4000), {"email": "nobody"}] * 3
        assert (await found.upload(users, "?sync=true"))[0] == 200
        completions = await found.completions(1)
        named = sorted(user.index for completion in completions for user in completion.rejected_users)
        assert named == [4000, 8001, 12002]


async def test_a_large_upload_is_split_and_every_part_is_waited_for(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        users = [{**user, "lastName": "x" * 900} for user in make_users(4000)]
        assert (await found.upload(users, "?sync=true"))[0] == 200
        completions = await found.completions(2)
        assert {completion.parts for completion in completions} == {len(completions)}
        assert sum(completion.counts.accepted for completion in completions) == 4000
        assert len(await found.members("facebook")) == 4000


async def test_names_are_prefixed_unless_that_is_switched_off(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix) as found:
        assert (await found.upload(make_users(1), "?sync=1", name="Big spenders"))[0] == 200
        assert (await found.upload(make_users(2), "?sync=1&disablePrefix=1", name="Big spenders"))[0] == 200
        for provider in ALL:
            assert len(await found.members(provider, "blotout_Big_spenders")) == 1
            assert len(await found.members(provider, "Big spenders")) == 2


async def test_channels_limit_the_targets(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix) as found:
        assert (await found.upload(make_users(1), "?sync=1&channels=tiktok"))[0] == 200
        statuses = {c.provider: c.status for c in await found.completions(3)}
        assert statuses == {"facebook": "skipped", "tiktok": "delivered", "klaviyo": "skipped"}
        assert await found.members("facebook") == set()


async def test_a_stalled_platform_delays_nobody_else_and_is_named_to_the_sync_caller(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, settings={"AUDIENCE_SYNC_TIMEOUT": 5}) as found:
        await found.inject(provider="facebook", fault="stall", untilCleared=True)
        status, body, headers = await found.upload(make_users(5), "?sync=true&detail=true")
        assert status == 504
        assert body["errors"] == [f"facebook: still in progress; see {found.url}{headers['Location']}"]
        ended = {result["provider"]: result["status"] for result in body["results"]}
        assert ended == {"facebook": "waiting", "tiktok": "delivered", "klaviyo": "delivered"}
        await found.clear_faults()
        await found.completions(3)
        assert await found.members("facebook") == hashes(*range(5))


async def test_an_account_that_is_refused_is_parked_and_goes_on_by_itself_with_nothing_lost(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix) as found:
        await found.inject(provider="tiktok", fault="auth", untilCleared=True)
        for start in (0, 5):
            begun = asyncio.get_running_loop().time()
            status, body, _ = await found.upload(make_users(5, start), "?sync=true&detail=true")
            assert status == 400
            assert len(body["errors"]) == 1
            assert body["errors"][0].startswith("tiktok: blocked: token_invalid")
            assert asyncio.get_running_loop().time() - begun < 5
            ended = {result["provider"]: result["status"] for result in body["results"]}
            assert ended == {"facebook": "delivered", "tiktok": "blocked", "klaviyo": "delivered"}
        assert await found.members("tiktok") == set()
        await found.clear_faults()
        assert {c.status for c in await found.completions(6)} == {"delivered"}
        assert await found.members("tiktok") == hashes(*range(10))
        assert (await found.upload(make_users(1), "?sync=true"))[0] == 200


async def test_a_platform_that_is_down_is_parked_and_goes_on_when_it_is_back(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        await found.inject(provider="facebook", fault="server_error", untilCleared=True)
        uploads = [found.upload(make_users(2, start), "?sync=true") for start in range(0, 24, 2)]
        answers = await asyncio.gather(*uploads)
        assert {status for status, _, _ in answers} == {400}
        assert {body["errors"][0].partition(" (")[0] for _, body, _ in answers} == {"facebook: blocked: platform_error"}
        await found.clear_faults()
        assert {c.status for c in await found.completions(12)} == {"delivered"}
        assert len(await found.members("facebook")) == 24


async def put_off(found: World) -> int:
    """Return how many records wait for a later attempt, by what was reported of them."""
    told = [decode_batch_completion(record.value) for record in await read_to_end(found.kafka, found.names.completions)]
    return sum(completion.status == "retrying" and completion.attempts == 1 for completion in told)


async def test_a_wait_of_minutes_goes_by_a_pointer_and_holds_up_nobody(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        served = sandbox_account(Target("facebook"), found.sandbox_url, slots="1")
        busy = {"error": {"code": 2650, "error_subcode": 1870145, "fbtrace_id": "r"}}
        await found.inject(provider="facebook", fault="custom", operation="upload", status=400, body=busy, calls=3)
        naps: list[float] = []
        is_due = asyncio.Event()

        async def sleep(seconds: float) -> None:
            naps.append(seconds)
            await (is_due.wait() if seconds > 100 else asyncio.sleep(seconds))

        async with consuming_one(served, kafka, found.names, time=Time(sleep=sleep)):
            for start in range(3):
                assert (await found.upload(make_users(2, start * 2), name=f"VIP {start}"))[0] == 200
            async with asyncio.timeout(20):
                while await put_off(found) < 3:
                    await asyncio.sleep(0.05)
            assert any(seconds > 100 for seconds in naps)
            assert (await found.upload(make_users(2, 8), "?sync=true", name="other"))[0] == 200
        async with consuming_one(served, kafka, found.names, time=Time(sleep=sleep)):
            is_due.set()
            ended = await found.completions(4)
        assert [(c.status, c.attempts) for c in ended if c.attempts == 2] == [("delivered", 2)] * 3
        for start in range(3):
            assert len(await found.members("facebook", f"blotout_VIP_{start}")) == 2


@pytest.mark.parametrize("fault", ["server_error", "html", "drop", "drop_after", "not_found", "throttled"])
@pytest.mark.parametrize("provider", ALL)
async def test_what_passes_by_itself_is_tried_again(
    kafka: KafkaSettings, topic_prefix: str, provider: str, fault: str
) -> None:
    async with world(kafka, topic_prefix, providers=[provider]) as found:
        await found.inject(provider=provider, fault=fault, operation="upload", seconds=1)
        status, body, _ = await found.upload(make_users(2), "?sync=true")
        assert status == 200, body
        assert len(await found.members(provider)) == 2


async def test_an_audience_that_was_deleted_on_the_platform_is_made_again(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        assert (await found.upload(make_users(1), "?sync=true"))[0] == 200
        await found.session.delete(f"{found.sandbox_url}/_sandbox/members?provider=facebook")
        assert (await found.upload(make_users(2), "?sync=true"))[0] == 200
        assert await found.members("facebook") == hashes(0, 1)


async def test_uploads_of_one_audience_at_the_same_time_create_it_once(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix) as found:
        uploads = [found.upload(make_users(1, start), "?sync=true") for start in range(8)]
        assert [status for status, _, _ in await asyncio.gather(*uploads)] == [200] * 8
        for provider in ALL:
            async with found.session.get(f"{found.sandbox_url}/_sandbox/audiences?provider={provider}") as response:
                assert len((await response.json())["audiences"]) == 1
            assert len(await found.members(provider)) == 8


class OneRowBreaks(TikTok):
    """A provider with a bug that one user meets."""

    def row(self, user: AudienceUser) -> list[str] | Rejection:
        if user.email == "person3@example.com":
            raise KeyError(user.email)
        return super().row(user)


async def test_a_row_function_that_raises_loses_that_row_only_and_its_value_is_not_logged(
    kafka: KafkaSettings, topic_prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(Target("tiktok"), found.sandbox_url)
        broken = type(served)(target=served.target, kind=OneRowBreaks, settings=served.settings)
        async with consuming_one(broken, kafka, found.names):
            status, body, _ = await found.upload(make_users(5), "?sync=true&detail=true")
        assert status == 200
        assert body["results"][0]["reasons"] == {"bug": 1}
        assert await found.members("tiktok") == hashes(0, 1, 2, 4)
    logged = capfd.readouterr()
    assert "KeyError" in logged.out + logged.err
    assert "person3@example.com" not in logged.out + logged.err


def single_object(record: dict[str, object]) -> bytes:
    """Encode a record as any language would: the shipped schema, its fingerprint, fastavro."""

    schema = json.loads(SCHEMA.read_text())
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), record)
    mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    return b"\xc3\x01" + mark + buffer.getvalue()


def minimal_record(*people: int) -> dict[str, object]:
    """Return no more than a direct publisher must fill in."""
    users = [{"email": f"person{number}@example.com"} for number in people]
    return {"batchId": str(uuid.uuid4()), "name": "VIP", "users": users}


def publish(found: World, *values: bytes) -> None:
    """Publish with a bare producer."""
    producer = Producer({"bootstrap.servers": found.kafka.bootstrap_servers})
    for value in values:
        producer.produce(found.names.batches, value, key="custom:VIP")
    assert producer.flush(20) == 0


async def test_a_record_published_by_a_bare_producer_reaches_all_platforms(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix) as found:
        await asyncio.to_thread(publish, found, single_object(minimal_record(1, 2)))
        assert {c.status for c in await found.completions(3)} == {"delivered"}
        assert await found.members("facebook") == await found.members("tiktok") == hashes(1, 2)


@needs("kcat")
async def test_a_record_published_by_kcat_reaches_all_platforms(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix) as found:
        file = tmp_path / "record"
        file.write_bytes(single_object(minimal_record(4)))
        broker = found.kafka.bootstrap_servers
        command = ["kcat", "-P", "-b", broker, "-t", found.names.batches, "-k", "custom:VIP", str(file)]
        await asyncio.to_thread(subprocess.run, command, check=True, timeout=30)
        assert {c.status for c in await found.completions(3)} == {"delivered"}
        assert await found.members("facebook") == hashes(4)


async def test_garbage_on_the_topic_is_reported_and_stops_nobody(kafka: KafkaSettings, topic_prefix: str) -> None:
    good = single_object(minimal_record(1))
    wrong = single_object({**minimal_record(1), "batchId": "no uuid"})
    garbage = [b"", b"garbage", good[:-3], good + b"x", b"\x00\x00\x00\x00\x07abc", b"\xc3\x01" + b"x" * 30]
    async with world(kafka, topic_prefix) as found:
        await asyncio.to_thread(publish, found, *garbage, wrong, good)
        ended = await found.completions(3 * (len(garbage) + 2))
        facebook = sorted((c.status, c.error_code or "") for c in ended if c.provider == "facebook")
        expected = [("delivered", ""), *[("failed", "undecodable")] * len(garbage), ("skipped", "invalid_batch")]
        assert facebook == expected
        assert await found.members("klaviyo") == {("person1@example.com",)}


async def test_with_a_registry_values_go_in_its_framing_and_bare_records_are_read_too(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    framing = Framing(ConfluentRegistry("mock://", TopicNames(topic_prefix).of_records))
    async with world(kafka, topic_prefix, providers=["facebook"], framing=framing) as found:
        assert (await found.upload(make_users(2), "?sync=true"))[0] == 200
        await asyncio.to_thread(publish, found, single_object(minimal_record(7)))
        async with asyncio.timeout(20):
            while await found.members("facebook") != hashes(0, 1, 7):
                await asyncio.sleep(0.05)


async def test_all_slots_of_a_platform_are_kept_busy_within_one_audience(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    options = SandboxOptions(limits=False, latency=0.5)
    account = {"slots": "6"}
    async with world(kafka, topic_prefix, providers=["tiktok"], options=options, account=account) as found:
        assert (await found.upload(make_users(20_000), "?sync=true"))[0] == 200
        counters = (await found.counters())["tiktok"]
        assert counters["highestInFlight"] == 6
        assert len(await found.members("tiktok")) == 20_000


async def test_a_consumer_that_ends_in_the_middle_leaves_nothing_out(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=(), options=UNLIMITED) as found:
        served = sandbox_account(Target("facebook"), found.sandbox_url)
        await found.inject(provider="facebook", fault="stall", operation="upload", untilCleared=True)
        async with consuming_one(served, kafka, found.names):
            for start in range(5):
                batch = make_batch(totalBatches=5, sequence=start + 1)
                assert (await found.upload(make_users(10, start * 10), batch=batch))[0] == 200
            async with asyncio.timeout(20):
                while (await found.counters())["facebook"]["byOperation"].get("upload", 0) < 1:
                    await asyncio.sleep(0.05)
        await found.clear_faults()
        async with consuming_one(served, kafka, found.names):
            await found.completions(5)
        assert await found.members("facebook") == hashes(*range(50))
