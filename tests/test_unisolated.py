"""Refusals that name their rows, and those that do not: who arrives, at what cost, and what is told meanwhile."""

import asyncio
import hashlib
import io
import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import fastavro
import msgspec
import pytest
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form
from test_cli import audience
from test_ledger import get
from test_refusals import completions_of
from test_replay import recorded, replay
from test_status import listen_at
from world import World, consuming_one, make_users, sandbox_account, world

from consumer.delivery.platform_calls import PAUSE
from consumer.retries.clock import Time
from schemas.avro.codec import decode_batch_completion, decode_retry_pointer
from schemas.avro.framing import SINGLE_OBJECT_MARKER
from schemas.records import BatchCompletion, Counts, Progress
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end
from streams.write.writer import Writer

RELEASED = Path(__file__).parent.parent / "schemas" / "released"


@dataclass
class Naps:
    """Sleeps on the wall, but those between tries only until they are due."""

    is_due: asyncio.Event = field(default_factory=asyncio.Event)

    async def sleep(self, seconds: float) -> None:
        """Sleep; what is a pause between tries ends when that is wanted."""
        await (self.is_due.wait() if seconds > PAUSE / 2 else asyncio.sleep(seconds))


def emails(numbers: Iterable[int]) -> list[str]:
    """Return the addresses of some of the made-up users."""
    return [f"person{number}@example.com" for number in numbers]


def hashes(numbers: Iterable[int]) -> list[str]:
    """Return what Meta and TikTok get of them."""
    return [hashlib.sha256(address.encode()).hexdigest() for address in emails(numbers)]


async def dislike(found: World, provider: str, values: list[str], **more: object) -> None:
    """Let a platform refuse uploads that hold one of these values."""
    until = {} if "calls" in more else {"untilCleared": True}
    await found.inject(provider=provider, fault="dislikes", operation="upload", values=values, **until, **more)


async def uploads(found: World, provider: str) -> int:
    """Return how many upload calls a platform has met."""
    return int((await found.counters())[provider]["byOperation"]["upload"])


@asynccontextmanager
async def one(
    kafka: KafkaSettings, prefix: str, provider: str, naps: Naps | None = None, **settings: int
) -> AsyncIterator[World]:
    """Run ingestion and one consumer of an account, which has these settings."""
    time = Time(sleep=(naps or Naps(_set())).sleep)
    async with world(kafka, prefix, providers=[provider], consuming=()) as found:
        served = sandbox_account(Target(provider), found.sandbox_url)
        async with consuming_one(served, kafka, found.names, time=time, changed=settings):
            yield found


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def test_profiles_that_klaviyo_names_are_rejected_and_all_others_arrive_in_two_calls(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    bad = range(50, 2000, 100)
    async with one(kafka, topic_prefix, "klaviyo") as found:
        await dislike(found, "klaviyo", emails(bad))
        status, body, _ = await found.upload(make_users(2000), "?sync=true&detail=true")
        assert status == 200
        (told,) = await found.completions(1)
        assert told.status == "partial"
        assert [(user.index, user.field, user.reason) for user in told.rejected_users] == [
            (number, "email", "refused_by_platform") for number in bad
        ]
        assert (body["results"][0]["accepted"], body["results"][0]["rejected"]) == (1980, 20)
        assert await found.members("klaviyo") == {(email,) for email in emails(set(range(2000)) - set(bad))}
        assert await uploads(found, "klaviyo") == 2


async def test_a_second_refusal_may_name_others_and_a_third_nobody(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with one(kafka, topic_prefix, "klaviyo") as found:
        await dislike(found, "klaviyo", emails([1, 2]), calls=1)
        await dislike(found, "klaviyo", emails([3, 150]), calls=1)
        await dislike(found, "klaviyo", emails([7]), names=False)
        assert (await found.upload(make_users(200), "?sync=true"))[0] == 200
        (told,) = await found.completions(1)
        assert [user.index for user in told.rejected_users] == [1, 2, 3, 7, 150]
        assert [user.field for user in told.rejected_users] == ["email", "email", "email", None, "email"]
        assert len(await found.members("klaviyo")) == told.counts.accepted == 195


async def test_a_call_of_which_every_row_is_named_rejects_them_and_does_not_fail(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with one(kafka, topic_prefix, "klaviyo") as found:
        await dislike(found, "klaviyo", emails(range(3)))
        status, body, _ = await found.upload(make_users(3), "?sync=true")
        assert (status, body["errors"]) == (400, ["klaviyo: no user was accepted (email: refused_by_platform: 3)"])
        (told,) = await found.completions(1)
        assert (told.status, told.counts.rejected) == ("partial", 3)
        assert await uploads(found, "klaviyo") == 1


async def test_a_refusal_that_names_only_rows_beyond_the_call_names_nobody(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    errors = [{"id": "r", "source": {"pointer": "/data/attributes/profiles/data/40/attributes/email"}}]
    async with one(kafka, topic_prefix, "klaviyo") as found:
        answer = {"status": 400, "body": {"errors": errors}}
        await found.inject(provider="klaviyo", fault="custom", operation="upload", **answer)
        assert (await found.upload(make_users(40), "?sync=true"))[0] == 200
        assert len(await found.members("klaviyo")) == 40


@pytest.mark.parametrize("provider", ["facebook", "tiktok", "klaviyo"])
async def test_forty_scattered_rows_of_two_thousand_cost_no_good_one_and_at_most_the_calls_of_a_try(
    kafka: KafkaSettings, topic_prefix: str, provider: str
) -> None:
    bad = sorted(random.Random(7).sample(range(2000), 40))
    naps = Naps()
    async with one(kafka, topic_prefix, provider, naps) as found:
        values = emails(bad) if provider == "klaviyo" else hashes(bad)
        await dislike(found, provider, values, names=False)
        status, body, _ = await found.upload(make_users(2000), "?sync=true&detail=true")
        first = body["results"][0]
        assert await uploads(found, provider) <= 300
        assert len(await found.members(provider)) == first["accepted"] > 1800
        assert first["received"] == 2000 == first["accepted"] + first["rejected"] + first["open"]
        assert status == (400 if first["open"] > 20 else 200)
        naps.is_due.set()
        (told,) = await found.completions(1)
        assert told.status == "partial"
        assert (told.counts.received, told.counts.accepted, told.counts.rejected) == (2000, 1960, 40)
        assert [user.index for user in told.rejected_users] == bad
        assert told.rejected_reasons == {"refused_by_platform": 40}
        assert (told.counts.open, len(await found.members(provider))) == (0, 1960)
        assert (await found.counters())[provider]["repeatedRows"] == 0


async def test_a_sync_caller_is_told_after_the_first_try_and_the_status_shows_who_is_open(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    naps = Naps()
    async with one(kafka, topic_prefix, "facebook", naps, AUDIENCE_SEARCH_CALLS=30) as found:
        await dislike(found, "facebook", hashes(range(3, 200, 10)))
        status, body, headers = await found.upload([*make_users(200), {"email": "nobody"}], "?sync=true&detail=true")
        result = body["results"][0]
        assert status == 400
        assert body["errors"] == [f"facebook: unisolated: {result['open']} of 201, tried again"]
        assert (result["status"], result["reasons"]["email: not_an_email"]) == ("retrying", 1)
        assert await uploads(found, "facebook") == 30

        _, shown = await get(found, headers["Location"])
        (target,) = shown["targets"]
        assert (target["state"], target["error"]["code"]) == ("retrying", "unisolated")
        assert target["error"]["platformCode"] == "100"
        users = target["users"]
        assert (users["open"], users["accepted"]) == (result["open"], result["accepted"])
        assert users["inLog"] == 201 == users["accepted"] + users["rejected"] + users["open"]
        code, output, _ = await audience(tmp_path, "status", "--batch", body["batchId"], **listen_at(found.url))
        assert code == 0
        assert f"facebook: {result['open']} open:" in output

        naps.is_due.set()
        (told,) = await found.completions(1)
        assert (told.counts.accepted, told.counts.rejected) == (180, 21)
        assert told.rejected_reasons == {"email: not_an_email": 1, "refused_by_platform": 20}
        assert told.attempts > 1
        between = [one for one in await completions_of(found, body["batchId"]) if one.status == "retrying"]
        assert all(one.counts.accepted + one.counts.rejected + one.counts.open == 201 for one in between)


async def test_a_sync_caller_is_content_with_one_open_user_of_a_hundred(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    naps = Naps()
    async with one(kafka, topic_prefix, "facebook", naps, AUDIENCE_SEARCH_CALLS=12) as found:
        await dislike(found, "facebook", hashes([117]))
        status, body, _ = await found.upload(make_users(2000), "?sync=true&detail=true")
        assert (status, body["success"], body["results"][0]["status"]) == (200, True, "retrying")
        assert 0 < body["results"][0]["open"] <= 20
        naps.is_due.set()
        (told,) = await found.completions(1)
        assert (told.counts.accepted, [user.index for user in told.rejected_users]) == (1999, [117])


async def test_what_is_still_open_at_the_age_limit_is_rejected_as_not_isolated(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with one(kafka, topic_prefix, "facebook", AUDIENCE_SEARCH_CALLS=20, AUDIENCE_RETRY_AGE=1) as found:
        await dislike(found, "facebook", hashes(range(3, 200, 10)))
        status, body, _ = await found.upload(make_users(200), "?sync=true&detail=true")
        (told,) = await found.completions(1)
        assert (status, body["results"][0]["status"], told.status) == (200, "partial", "partial")
        assert told.rejected_reasons["not_isolated"] > 0
        assert told.counts.accepted + told.counts.rejected == 200
        assert len(await found.members("facebook")) == told.counts.accepted
        assert await uploads(found, "facebook") == 20


async def test_the_budget_is_that_of_a_record_over_all_its_calls(kafka: KafkaSettings, topic_prefix: str) -> None:
    naps = Naps()
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(Target("tiktok"), found.sandbox_url, rows="50")
        settings = {"AUDIENCE_SEARCH_CALLS": 40}
        async with consuming_one(served, kafka, found.names, time=Time(sleep=naps.sleep), changed=settings):
            await dislike(found, "tiktok", hashes(range(7, 1000, 20)))
            assert (await found.upload(make_users(1000), "?sync=true"))[0] == 400
            assert await uploads(found, "tiktok") == 40
            naps.is_due.set()
            (told,) = await found.completions(1)
        assert (told.counts.accepted, told.counts.rejected) == (950, 50)
        assert [user.index for user in told.rejected_users] == list(range(7, 1000, 20))


async def test_calls_that_are_refused_whatever_they_hold_fail_after_one_try_and_reject_nobody(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with one(kafka, topic_prefix, "facebook") as found:
        await found.inject(provider="facebook", fault="invalid", operation="upload", untilCleared=True)
        status, body, _ = await found.upload(make_users(2000), "?sync=true&detail=true")
        assert (status, body["results"][0]["status"], body["results"][0]["rejected"]) == (400, "failed", 0)
        assert body["errors"][0].startswith("facebook: request_refused (100, request ")
        assert await uploads(found, "facebook") == 300


async def test_what_was_taken_is_not_sent_again_where_another_call_of_the_record_waits(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    naps = Naps()
    busy = {"error": {"code": 2650, "error_subcode": 1870145, "fbtrace_id": "r"}}
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        served = sandbox_account(Target("facebook"), found.sandbox_url)
        async with consuming_one(served, kafka, found.names, time=Time(sleep=naps.sleep)):
            await found.inject(provider="facebook", fault="custom", operation="upload", status=400, body=busy)
            _, body, _ = await found.upload([*make_users(10_500), {"email": "x"}], "?detail=true")
            async with asyncio.timeout(20):
                while not (told := await completions_of(found, body["batchId"])):
                    await asyncio.sleep(0.1)
            taken = len(await found.members("facebook"))
            assert taken in (500, 10_000)
            counts = told[0].counts
            assert (told[0].error_code, counts.accepted, counts.rejected) == ("busy", taken, 1)
            naps.is_due.set()
            (ended,) = await found.completions(1)
        assert (ended.counts.received, ended.counts.accepted, ended.counts.rejected) == (10_501, 10_500, 1)
        assert (await found.counters())["facebook"]["repeatedRows"] == 0


async def pointers(found: World) -> list[Progress | None]:
    """Return what the pointers of Facebook's group say of earlier tries."""
    topic = found.names.retry(Target("facebook").group_id(found.names.prefix))
    return [decode_retry_pointer(record.value).progress for record in await read_to_end(found.kafka, topic)]


async def test_a_pointer_names_the_spans_that_are_open(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with one(kafka, topic_prefix, "facebook", Naps(), AUDIENCE_SEARCH_CALLS=5) as found:
        await dislike(found, "facebook", hashes([100]))
        await found.upload(make_users(200), "?sync=true")
        (progress,) = await pointers(found)
        assert progress is not None
        assert progress.accepted == len(await found.members("facebook"))
        (span,) = progress.open
        assert span.first <= 100 < span.first + span.count
        assert (span.count, progress.accepted + span.count) == (span.count, 200)


async def test_a_pointer_of_the_first_version_is_read_and_means_all_users(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    schema = parse_schema(json.loads((RELEASED / "RetryPointer" / "1.avsc").read_text()))
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        await found.upload(make_users(3))
        (record,) = await read_to_end(kafka, found.names.batches)
        now = datetime.now(UTC)
        origin = msgspec.to_builtins(record.origin)
        pointer = {"origin": origin, "attempt": 4, "notBefore": now, "firstAttemptAt": now, "firstFailure": "busy"}
        value = written(schema, {**pointer, "waited": 0})
        assert decode_retry_pointer(value).progress is None
        topic = found.names.retry(Target("facebook").group_id(found.names.prefix))
        async with Writer(kafka) as writer:
            await writer.send(topic, "key", value, {})
        served = sandbox_account(Target("facebook"), found.sandbox_url)
        async with consuming_one(served, kafka, found.names):
            ended = await found.completions(2)
        assert sorted(one.attempts for one in ended) == [1, 5]
        assert {one.counts.accepted for one in ended} == {3}


@pytest.mark.parametrize("version", [1, 2])
def test_completions_of_earlier_versions_are_read_and_leave_nobody_open(version: int) -> None:
    schema = parse_schema(json.loads((RELEASED / "BatchCompletion" / f"{version}.avsc").read_text()))
    origin = {"topic": "audience.batches", "partition": 1, "offset": 2}
    counts = {"received": 3, "accepted": 2, "rejected": 1}
    told = decode_batch_completion(
        written(schema, {"origin": origin, "provider": "facebook", "status": "partial", "counts": counts})
    )
    assert (told.status, told.counts) == ("partial", Counts(received=3, accepted=2, rejected=1, open=0))


def written_by(record: str, version: int, datum: dict[str, object]) -> bytes:
    """Return a record as the release with this version of its schema wrote it."""
    return written(parse_schema(json.loads((RELEASED / record / f"{version}.avsc").read_text())), datum)


def written(schema: object, datum: dict[str, object]) -> bytes:
    """Return a record as a release with this schema wrote it."""
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, datum)  # type: ignore[arg-type] # parsed
    mark = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")  # type: ignore[arg-type] # parsed
    return SINGLE_OBJECT_MARKER + bytes.fromhex(mark) + buffer.getvalue()


async def test_a_replay_goes_on_with_a_search_until_it_is_over(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix, providers=["facebook"]) as found:
        assert (await found.upload(make_users(100), "?sync=true"))[0] == 200
        await dislike(found, "facebook", hashes(range(0, 100, 9)))
        await found.session.delete(f"{found.sandbox_url}/_sandbox/counters")
        at = {"AUDIENCE_SEARCH_CALLS": "30"}
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--yes", "--provider", "facebook", **at)
        assert code == 0, output + errors
        told = [one for one in await found.completions(2) if one.delivery != "live"]
        assert [(one.status, one.counts.accepted, one.counts.rejected) for one in told] == [("partial", 88, 12)]
        assert await uploads(found, "facebook") > 30


@pytest.mark.parametrize("provider", ["facebook", "tiktok", "klaviyo"])
@pytest.mark.parametrize("calls", [1, 2, 5])
async def test_a_small_budget_loses_nobody(kafka: KafkaSettings, topic_prefix: str, provider: str, calls: int) -> None:
    """A try whose calls were all taken, but that ran out of them, used to end the record with the rest unsent."""
    bad = [17, 60, 133]
    async with one(kafka, topic_prefix, provider, AUDIENCE_SEARCH_CALLS=calls) as found:
        await dislike(found, provider, emails(bad) if provider == "klaviyo" else hashes(bad), names=False)
        _, body, _ = await found.upload(make_users(200), "?detail=true")
        (told,) = await found.completions(1, 90)
        assert (told.status, told.counts) == ("partial", Counts(received=200, accepted=197, rejected=3))
        assert sorted(user.index for user in told.rejected_users) == bad
        assert len(await found.members(provider)) == 197
        assert all(
            one.counts.accepted + one.counts.rejected + one.counts.open == 200
            for one in await completions_of(found, body["batchId"])
            if one.counts.accepted
        )


async def test_calls_that_are_refused_whatever_they_hold_fail_with_any_budget_and_can_be_sent_again(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with one(kafka, topic_prefix, "facebook", AUDIENCE_SEARCH_CALLS=5) as found:
        await found.inject(provider="facebook", fault="invalid", operation="upload", untilCleared=True)
        assert (await found.upload(make_users(40)))[0] == 200
        (told,) = await found.completions(1, 90)
        assert (told.status, told.error_code) == ("failed", "request_refused")
        assert (told.counts.accepted, told.counts.rejected, told.rejected_users) == (0, 0, [])


async def test_at_the_age_limit_a_record_of_which_nothing_was_taken_fails(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with one(kafka, topic_prefix, "facebook", AUDIENCE_SEARCH_CALLS=10, AUDIENCE_RETRY_AGE=1) as found:
        await found.inject(provider="facebook", fault="invalid", operation="upload", untilCleared=True)
        assert (await found.upload(make_users(400)))[0] == 200
        (told,) = await found.completions(1, 90)
        assert (told.status, told.error_code, told.counts.rejected) == ("failed", "request_refused", 0)


async def test_a_sync_caller_keeps_the_end_of_the_first_try_while_another_platform_is_still_at_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    naps = Naps()
    bad = range(0, 200, 5)
    settings = {"AUDIENCE_SYNC_TIMEOUT": 12}
    async with world(
        kafka, topic_prefix, providers=["facebook", "klaviyo"], consuming=["klaviyo"], settings=settings
    ) as found:
        served = sandbox_account(Target("facebook"), found.sandbox_url)
        changed = {"AUDIENCE_SEARCH_CALLS": 20}
        async with consuming_one(served, kafka, found.names, time=Time(sleep=naps.sleep), changed=changed):
            await dislike(found, "facebook", hashes(bad), names=False)
            await found.inject(provider="klaviyo", fault="server_error", operation="upload", untilCleared=True)
            asked = asyncio.create_task(found.upload(make_users(200), "?sync=true&detail=true"))
            async with asyncio.timeout(30):
                while "unisolated" not in str([one.error_code for one in await read_completions(found)]):
                    await asyncio.sleep(0.1)
            await found.clear_faults()
            for provider in ("facebook", "klaviyo"):
                await found.inject(provider=provider, fault="server_error", operation="upload", untilCleared=True)
            naps.is_due.set()
            status, body, _ = await asked
    assert status == 400, body
    (told,) = [error for error in body["errors"] if error.startswith("facebook")]
    assert told.startswith("facebook: unisolated: ")


async def read_completions(found: World) -> list[BatchCompletion]:
    """Return all that was reported so far."""
    records = await read_to_end(found.kafka, found.names.completions)
    return [decode_batch_completion(record.value) for record in records]
