"""Each error of the platforms' tables, answered by the sandbox, ends as its class says, with the right words."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from world import UNLIMITED, World, consuming_one, make_users, sandbox_account, world

from consumer.retries.clock import Time
from providers.installed import installed
from providers.kit.provider import Rejection
from providers.tiktok import TikTok
from schemas.avro.codec import decode_batch_completion
from schemas.error_words import VOCABULARY
from schemas.records import AudienceUser, BatchCompletion
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end

QUOTED = "quoted-person@example.com"


@dataclass
class Clock:
    """A clock that only sleeping moves."""

    now: float = 0.0
    sleeps: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.now += seconds
        self.sleeps.append(seconds)
        await asyncio.sleep(0)


def fault(name: str, code: str) -> dict[str, object]:
    """Return a fault that answers an upload with a code, in the platform's form, quoting a user."""
    first, _, second = code.partition("/")
    if name == "facebook":
        error = {"message": QUOTED, "code": int(first), "error_subcode": int(second or 0), "fbtrace_id": "request-1"}
        answer: dict[str, object] = {"status": 400, "body": {"error": error}}
    elif name == "tiktok":
        answer = {"status": 200, "body": {"code": int(code), "message": QUOTED, "request_id": "request-1", "data": {}}}
    else:
        errors = [{"id": "request-1", "status": int(code), "code": "x", "title": "x", "detail": QUOTED}]
        wait = {"Retry-After": "7"} if code == "429" else {}
        answer = {"status": int(code), "body": {"errors": errors}, "headers": wait}
    return {"provider": name, "fault": "custom", "operation": "upload", **answer}


def shown_codes(codes: Mapping[str, str]) -> list[str]:
    """Return the codes to be tried: of long spans the ends, and what stands out within."""
    kept = {"200", "201", "294", "299", "80000", "80003", "80004", "80014"}
    spans = {str(number) for number in (*range(200, 300), *range(80000, 80015))}
    return [code for code in codes if code not in spans or code in kept]


async def completions_of(found: World, batch_id: str) -> list[BatchCompletion]:
    """Return what was reported of a batch, in the order in which it was."""
    records = await read_to_end(found.kafka, found.names.completions)
    told = [decode_batch_completion(record.value) for record in records]
    return sorted((one for one in told if one.batch_id == batch_id), key=lambda one: one.status != "retrying")


@pytest.mark.parametrize("name", ["facebook", "tiktok", "klaviyo"])
async def test_each_row_of_a_platform_s_table_ends_as_its_class_says(
    kafka: KafkaSettings, topic_prefix: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    time = Time(clock=lambda: clock.now, sleep=clock.sleep, chance=lambda: 0.5)
    codes = installed()[name].codes
    async with world(kafka, topic_prefix, providers=[name], consuming=(), options=UNLIMITED) as found:
        served = sandbox_account(Target(name), found.sandbox_url)
        async with consuming_one(served, kafka, found.names, time=time):
            for number, code in enumerate(shown_codes(codes)):
                clock.sleeps.clear()
                await found.inject(**fault(name, code))
                answer = await found.upload(make_users(2, number * 2), "?sync=true&detail=true", name=f"VIP {number}")
                await check_end(found, name, code, codes[code], answer[:2], clock)
    logged = capfd.readouterr()
    assert QUOTED not in logged.out + logged.err


async def check_end(
    found: World, name: str, code: str, word: str, answer: tuple[int, dict[str, object]], clock: Clock
) -> None:
    """Compare an answer and the completions with what the class of a word promises."""
    status, body = answer
    meaning = VOCABULARY[word]
    platform_code = f"HTTP {code}" if name == "klaviyo" else code
    facts = f"{word} ({platform_code}, request request-1)"
    told = await completions_of(found, str(body["batchId"]))
    if meaning.action == "stop":
        async with asyncio.timeout(10):
            while not told or told[-1].status != "delivered":  # the account's state is told before its completion is
                told = await completions_of(found, str(body["batchId"]))
        assert status == 200 or body["errors"] == [f"{name}: blocked: {facts}"]
    assert QUOTED not in repr(told) + repr(body)
    if meaning.action == "reject" and meaning.scope != "row":
        assert (status, body["errors"]) == (400, [f"{name}: {facts}"])
        assert [(one.status, one.error_code) for one in told] == [("failed", word)]
        assert (told[0].platform_code, told[0].request_id) == (platform_code, "request-1")
        assert not clock.sleeps
        return
    assert told[-1].status == "delivered", (code, told)
    assert told[-1].counts.accepted == 2
    if meaning.action in ("stop", "retry"):
        before = [(one.status, one.error_code, one.platform_code) for one in told[:-1]]
        assert before[0] == ("retrying", word, platform_code)
    if meaning.action == "retry":
        assert status == 200
        assert told[-1].attempts == 2
    else:
        assert told[-1].attempts == 1
    if meaning.action == "throttle":
        assert clock.sleeps[0] >= 1


async def test_an_error_that_meta_calls_transient_is_tried_again_whatever_its_code(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        body = {"error": {"message": QUOTED, "code": 100, "is_transient": True}}
        await found.inject(provider="facebook", fault="custom", operation="upload", status=400, body=body)
        assert (await found.upload(make_users(1), "?sync=true"))[0] == 200


async def test_a_call_that_is_too_large_for_the_platform_is_sent_in_halves(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        body = {"error": {"message": "Please reduce the amount of data you're asking for", "code": 1}}
        await found.inject(provider="facebook", fault="custom", operation="upload", status=500, body=body, calls=3)
        assert (await found.upload(make_users(9), "?sync=true"))[0] == 200
        assert len(await found.members("facebook")) == 9
        assert (await found.counters())["facebook"]["byOperation"]["upload"] == 3 + 4


async def test_an_unknown_audience_is_not_an_unknown_account(kafka: KafkaSettings, topic_prefix: str) -> None:
    """Meta says the same of both: 100/33."""
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        await found.inject(provider="facebook", fault="not_found", operation="find")
        status, body, _ = await found.upload(make_users(1), "?sync=true")
        assert status == 400
        assert re.fullmatch(r"facebook: blocked: account_not_found \(100/33, request \w+\)", body["errors"][0])


@pytest.mark.parametrize(("bad", "rows"), [((3,), 40), ((0, 17, 39), 40)])
async def test_rows_that_a_platform_refuses_are_found_and_the_others_get_through(
    kafka: KafkaSettings, topic_prefix: str, bad: tuple[int, ...], rows: int
) -> None:
    """TikTok refuses a whole call for one id that it does not like."""

    class Unliked(TikTok):
        def row(self, user: AudienceUser) -> list[str] | Rejection:
            row = super().row(user)
            is_bad = user.email in {f"person{number}@example.com" for number in bad}
            return ["no hash", ""] if is_bad else row

    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        served = sandbox_account(Target("tiktok"), found.sandbox_url)
        unlike = type(served)(target=served.target, kind=Unliked, settings=served.settings)
        async with consuming_one(unlike, kafka, found.names):
            status, body, _ = await found.upload(make_users(rows), "?sync=true&detail=true")
        assert status == 200
        assert body["results"][0]["reasons"] == {"refused_by_platform": len(bad)}
        told = (await found.completions(1))[0]
        assert sorted(user.index for user in told.rejected_users) == list(bad)
        assert len(await found.members("tiktok")) == rows - len(bad)


async def test_a_request_that_is_refused_whatever_it_holds_fails_and_rejects_nobody(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        await found.inject(provider="facebook", fault="invalid", operation="upload", untilCleared=True)
        status, body, _ = await found.upload(make_users(30), "?sync=true&detail=true")
        assert status == 400
        assert body["errors"][0].startswith("facebook: request_refused (100, request ")
        assert body["results"][0]["rejected"] == 0
