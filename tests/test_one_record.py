"""One record ends one record: whatever is wrong with it, in every group, and nobody else is held up."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from test_pipeline import hashes, minimal_record, publish, single_object
from test_replay import Seen
from test_writers import Registry
from world import World, consuming_one, make_users, sandbox_account, world

from checks.records.envelopes import ENVELOPES
from checks.records.generator import make_good, make_record
from checks.records.product import PROVIDERS
from checks.records.registered import FRAMES
from checks.records.registered import Registry as OddRegistry
from checks.records.report import LONGEST_GOOD, Report
from checks.records.run import AT_ONCE, run
from checks.records.values import EXTREMES, MUTATIONS, PARTITIONS, USER_EXTREMES
from checks.records.verdict import Reported, faults_of, faults_of_replay
from consumer.account.runtime import Deployment
from consumer.account.settings import ConsumerSettings
from consumer.delivery.outcome import Job, Outcome, smallest
from consumer.records.record_handler import Handler
from consumer.records.retry_pointers import Postponement, next_pointer
from consumer.replay.replayer import ReplayOrder, Wish, replay
from ledger import receipts
from ledger.receipts import keep_receipts
from ledger.view_updater import Following
from producer.answers import Refused
from producer.request.batch_form import parse_batch
from producer.request.body import Form
from producer.request.users_json import PayloadError
from producer.transport.part_decoding import Labels
from producer.upload.checking import Checker
from producer.upload.removal_readiness import RemovalReadiness
from providers.kit.errors import platform_error
from schemas.avro.codec import (
    decode_audience_batch,
    decode_batch_completion,
    decode_batch_receipt,
    encode_batch_completion,
    encode_retry_pointer,
)
from schemas.avro.framing import (
    SINGLE_OBJECT,
    Framing,
    RegistryUnavailableError,
    UndecodableError,
    UnencodableError,
)
from schemas.bounds import (
    MAX_ATTEMPTS,
    MAX_CHANNEL,
    MAX_CHANNELS,
    MAX_NAME,
    MAX_PENDING,
    MAX_SESSION_ID,
    MAX_TEXT,
    MAX_USERS,
    MAX_WHOLE,
)
from schemas.records import (
    AudienceBatch,
    AudienceUser,
    BatchCompletion,
    BatchReceipt,
    Claim,
    Counts,
    DirectoryEntry,
    Origin,
    Progress,
    RejectedUser,
    RetryPointer,
    Span,
    parse_origin,
)
from schemas.target import Target, parse_target
from schemas.validity import bounded, invalidity, misplaced, pointer_fault
from streams.client.errors import NotAcknowledgedError, ReaderFailedError, RecordTooLargeError
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, layout
from streams.containment.bug_containment import contained, sent_or_smallest
from streams.read.batch_decoding import batch_in
from streams.read.consumer_thread import Record, to_record
from streams.read.tail import read_to_end
from streams.tables.audience_claims import fold
from streams.write.writer import SURELY_SMALL, Writer

SEED = int(os.environ.get("SEED", "20261128"))
RECORDS = 2_000
ORIGIN = Origin(topic="audience.batches", partition=3, offset=17)
NOW = datetime(2026, 11, 28, tzinfo=UTC)
START_OF_TIME, END_OF_TIME = datetime(2, 1, 2, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)
POINTER = RetryPointer(origin=ORIGIN, attempt=1, not_before=NOW, first_attempt_at=NOW, first_failure="throttled")


def batch(**changes: object) -> AudienceBatch:
    """Return a valid batch with changes."""
    good = {"batch_id": "0" * 8 + "-0000" * 3 + "-" + "0" * 12, "name": "VIP", "users": [AudienceUser(email="a")]}
    return AudienceBatch(**{**good, **changes})  # type: ignore[arg-type] # any field


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("name", ["x", "x" * MAX_NAME], ["", " \r\n", "x" * (MAX_NAME + 1), "x" * 600_000]),
        ("session_id", [None, "", "x" * MAX_SESSION_ID], ["x" * (MAX_SESSION_ID + 1)]),
        ("channels", [None, [], ["x" * MAX_CHANNEL] * MAX_CHANNELS], [["x"] * (MAX_CHANNELS + 1), ["x" * 129]]),
        ("first_index", [0, MAX_WHOLE - 1], [-1, MAX_WHOLE, 2**63 - 1, 2**63 - 2, -(2**63)]),
        ("sequence", [None, 0, MAX_WHOLE], [-1, MAX_WHOLE + 1, 2**63 - 1]),
        ("total_batches", [None, 0, MAX_WHOLE], [-1, MAX_WHOLE + 1, 2**63 - 1]),
        ("total_users", [None, 0, MAX_WHOLE], [-1, MAX_WHOLE + 1, 2**63 - 1]),
        ("parts", [1, 2**31 - 1], [0, -(2**31)]),
    ],
)
def test_a_batch_is_valid_up_to_its_bounds_and_told_within_them(
    field: str, good: list[object], bad: list[object]
) -> None:
    for value in good:
        assert invalidity(batch(**{field: value})) is None
        assert bounded(batch(**{field: value})) == batch(**{field: value})
    for value in bad:
        assert invalidity(batch(**{field: value}))
        told = bounded(batch(**{field: value}))
        assert len(msgspec.json.encode(told)) < 5_000
        assert all(number is None or abs(number) <= MAX_WHOLE for number in (told.first_index, told.sequence))


WHOLES = (0, MAX_WHOLE)
NO_WHOLES = (-1, MAX_WHOLE + 1, 2**63 - 1, 1e300, 0.5)
LONG = f"facebook/{'x' * (MAX_CHANNEL - len('facebook/'))}"


async def accepted(part: str, value: object) -> AudienceBatch | None:
    """Return what the endpoint writes for a good upload with one change, without its users; None if it is refused."""
    batch = {"sessionId": 1, "sequence": 0, "totalBatches": MAX_WHOLE, "totalUsers": 1}
    parts: dict[str, object] = {"name": "VIP", "users": [{"email": "a"}]}
    query: MultiDict[str] = MultiDict()
    if part == "channels":
        query.add(part, str(value))
    else:
        (batch if part in batch else parts)[part] = value  # type: ignore[assignment] # any value
    form = {
        name: each.encode() if isinstance(each, str) else json.dumps(each).encode()
        for name, each in {**parts, "batch": batch}.items()
    }
    known = RemovalReadiness(targets=(), readers=tuple, can_hash=False)
    targets = (Target("facebook"), parse_target(LONG))
    checker = Checker(targets=targets, max_users=MAX_USERS, following=cast(Following, None), removals=known)
    try:
        checked = await checker.check(Form(parts=form, labels=dict.fromkeys(form, Labels())), query)
    except Refused:
        return None
    assert invalidity(checked.batch, sum(block.count for block in checked.blocks)) is None
    return checked.batch


@pytest.mark.parametrize(
    ("part", "good", "bad"),
    [
        ("name", ["x", "x" * MAX_NAME], ["", " \r\n", "x" * (MAX_NAME + 1)]),
        ("users", [[{"email": "a"}] * 3, [{"email": "x" * MAX_TEXT}]], [[], [{"email": "x" * (MAX_TEXT + 1)}]]),
        ("sessionId", [-1, 0.5, 10 ** (MAX_SESSION_ID - 1)], [10**MAX_SESSION_ID, True, "1"]),
        ("sequence", WHOLES, NO_WHOLES),
        ("totalBatches", WHOLES, NO_WHOLES),
        ("totalUsers", WHOLES, NO_WHOLES),
        ("channels", ["facebook", LONG, ",".join(["facebook", LONG] * MAX_CHANNELS)], ["", "tiktok", f"{LONG}x"]),
    ],
)
async def test_what_the_endpoint_takes_is_a_valid_batch(part: str, good: list[object], bad: list[object]) -> None:
    assert [value for value in good if await accepted(part, value) is None] == []
    assert [value for value in bad if await accepted(part, value) is not None] == []


def test_an_account_s_name_is_no_longer_than_channels_can_say() -> None:
    assert str(parse_target(LONG)) == LONG
    with pytest.raises(ValueError, match=f"at most {MAX_CHANNEL} characters"):
        parse_target(f"{LONG}x")


def test_a_number_that_its_schema_can_not_hold_is_undecodable() -> None:
    value = single_object({**minimal_record(1), "part": 1})
    assert decode_audience_batch(value).part == 1
    wide = single_object(minimal_record(1)).replace(b"\x00\x02\x02\x00", b"\x00\x80\x80\x80\x80\x20\x02\x00", 1)
    with pytest.raises(UndecodableError):
        decode_audience_batch(wide)


@given(st.text(max_size=300))
def test_a_key_is_a_place_or_none_and_nothing_worse(text: str) -> None:
    found = parse_origin(text)
    assert found is None or str(found) == text or found.offset >= 0


def test_a_place_is_what_its_text_says() -> None:
    assert parse_origin(str(ORIGIN)) == ORIGIN
    for text in ("", "t-1", "t@1", "-1@1", "t-1@-1", f"t-{2**31}@1", f"t-1@{2**63}", f"{'t' * 250}-1@1"):
        assert parse_origin(text) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"attempt": -1},
        {"attempt": 2**31 - 1},
        {"waited": 2**62},
        {"waited": MAX_WHOLE},
        {"waits_for": -1},
        {"not_before": END_OF_TIME},
        {"first_attempt_at": END_OF_TIME},
        {"may_take_effect_until": END_OF_TIME},
        {"progress": Progress(accepted=2**62)},
        {"progress": Progress(rejected_users=[RejectedUser(index=2**62, reason="gone")])},
        {"progress": Progress(open=[Span(first=0, count=2**60)])},
        {"progress": Progress(open=[Span(first=0, count=1), Span(first=2**50, count=1)])},
        {"progress": Progress(open=[Span(first=5, count=1), Span(first=0, count=1)])},
        {"progress": Progress(open=[Span(first=0, count=-5)])},
        {"progress": Progress(open=[Span(first=-5, count=5)])},
        {"progress": Progress(rejected_reasons={"email: gone": -1})},
        {"progress": Progress(shared_unplaced=-1)},
    ],
)
def test_a_pointer_that_can_not_be_gone_by_is_told(changes: dict[str, Any]) -> None:
    assert pointer_fault(msgspec.structs.replace(POINTER, **changes), NOW) is not None


SPANS = [Span(first=7, count=3), Span(first=10, count=MAX_USERS - 3)]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"progress": Progress(open=SPANS)},
        {"attempt": MAX_ATTEMPTS},
        {"not_before": NOW + MAX_PENDING, "may_take_effect_until": NOW + MAX_PENDING},
        {"first_attempt_at": NOW - timedelta(days=300), "waited": 300 * 86_400_000},
        {"not_before": START_OF_TIME, "first_attempt_at": START_OF_TIME},
    ],
)
def test_a_pointer_that_waits_for_what_may_pass_can_be_gone_by(changes: dict[str, Any]) -> None:
    assert pointer_fault(msgspec.structs.replace(POINTER, **changes), NOW) is None


@pytest.mark.parametrize("seconds", [0.0, 86_400.0, 1e9, 1e15])
def test_a_pointer_that_we_write_can_be_gone_by_however_long_a_platform_asks_to_wait(seconds: float) -> None:
    job, outcome = Job(target=Target("klaviyo"), origin=ORIGIN, started_at=NOW), Outcome(excused=seconds)
    postponed = Postponement(error=platform_error("throttled"), seconds=seconds)
    before = None
    for _ in range(3):
        before = next_pointer(job, outcome, postponed, before, NOW)
        assert pointer_fault(before, NOW) is None


OF_ONE = (ValueError(), KeyError("a"), MemoryError(), ExceptionGroup("", [TypeError()]))
OF_ALL = (ReaderFailedError(), RegistryUnavailableError(), ExceptionGroup("", [ReaderFailedError(), ValueError()]))


@pytest.mark.parametrize("error", [*OF_ONE, *OF_ALL], ids=repr)
async def test_what_goes_wrong_with_a_record_ends_it_and_what_concerns_all_is_raised(error: Exception) -> None:
    async def fails() -> str:
        raise error

    if error in OF_ONE:
        assert await contained(ORIGIN, fails, lambda: "ended") == "ended"
        return
    with pytest.raises(type(error)):
        await contained(ORIGIN, fails, lambda: "ended")


@pytest.mark.parametrize("refusal", [UnencodableError(), RecordTooLargeError(), NotAcknowledgedError()], ids=repr)
async def test_what_can_not_be_written_is_replaced_once_and_what_may_pass_later_is_not(refusal: Exception) -> None:
    said: list[str] = []

    async def send(text: str) -> None:
        said.append(text)
        if len(text) > 3:
            raise refusal

    if type(refusal) is NotAcknowledgedError:
        with pytest.raises(NotAcknowledgedError):
            await sent_or_smallest(ORIGIN, send, "whole", lambda whole: whole[:1])
        assert said == ["whole"]
        return
    await sent_or_smallest(ORIGIN, send, "whole", lambda whole: whole[:1])
    assert said == ["whole", "w"]


def test_a_completion_that_can_not_be_encoded_says_so_and_its_smallest_can() -> None:
    whole = BatchCompletion(
        origin=ORIGIN, provider="facebook", status="partial", counts=Counts(received=3, rejected=2**63)
    )
    with pytest.raises(UnencodableError):
        encode_batch_completion(whole)
    least = decode_batch_completion(encode_batch_completion(smallest(whole)))
    assert (least.origin, least.status, least.counts) == (ORIGIN, "partial", Counts())


class _Message:
    """A message of the client whose headers it can't hand over: a name that is no UTF-8."""

    def __init__(self, timestamp: tuple[int, int]) -> None:
        self._timestamp = timestamp
        self.asked = 0

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    offset = partition

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def timestamp(self) -> tuple[int, int]:
        return self._timestamp

    def headers(self) -> object:
        self.asked += 1
        raise SystemError


@pytest.mark.parametrize("millis", [-1, -5, 2**62, -(2**62), 253_402_300_800_000])
def test_a_record_is_taken_over_without_headers_and_times_that_can_not_be_read(millis: int) -> None:
    message = _Message((1, millis))
    record = to_record(cast(Message, message), with_headers=True)
    assert (record.key, record.value, record.headers, record.timestamp) == (b"k", b"v", {}, None)
    assert message.asked == 1
    assert to_record(cast(Message, message)).headers == {}
    assert message.asked == 1, "headers that nobody needs are read"
    assert to_record(cast(Message, _Message((2, 0)))).timestamp == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_schema_s_id_in_a_header_has_a_reason_of_its_own() -> None:
    value, headers = single_object(minimal_record(1)), {"__value_schema_id": b"\x01" + bytes(16)}
    with pytest.raises(UndecodableError, match=r"^schema id in a header"):
        batch_in(Record(origin=ORIGIN, value=value[10:], headers=headers), Framing())
    assert batch_in(Record(origin=ORIGIN, value=value, headers=headers), Framing()).users
    with pytest.raises(UndecodableError, match=r"^no known framing"):
        batch_in(Record(origin=ORIGIN, value=value[10:]), Framing())


def test_a_session_id_of_the_endpoint_has_the_same_bound() -> None:
    form = '{"sessionId":%s,"sequence":1,"totalBatches":1,"totalUsers":1}'
    assert len(parse_batch((form % ("9" * MAX_SESSION_ID)).encode())[0].session_id) == MAX_SESSION_ID
    with pytest.raises(PayloadError, match=r"batch\.sessionId: expected a number of at most 1024 characters"):
        parse_batch((form % ("9" * (MAX_SESSION_ID + 1))).encode())


def test_generated_records_cover_every_field_mutation_and_envelope_and_are_their_seed_s() -> None:
    made = [make_record(SEED, number) for number in range(3_000)]
    kinds = {one.kind for one in made}
    mutations = {mutation.__name__.strip("_") for mutation in MUTATIONS}
    frames = {kind for kind, _, _ in FRAMES}
    assert kinds >= {*EXTREMES, *USER_EXTREMES, *mutations, *frames, *(f"removal, {kind}" for kind in mutations)}
    assert {kind.removeprefix("removal, ") for kind in kinds} >= {*ENVELOPES, *(f"{kind}, changed" for kind in frames)}
    assert made[:20] == [make_record(SEED, number) for number in range(20)]
    assert made[1] != make_record(SEED + 1, 1)


def test_generated_removals_stand_at_home_but_for_those_that_are_misplaced() -> None:
    every = [make_record(SEED, number) for number in range(1_000)]
    removals = [one for one in every if (one.value or b"")[:10] == SINGLE_OBJECT.header("AudienceRemoval")]
    told = Counter[tuple[bool, bool]]()
    for one in removals:
        with suppress(UndecodableError):
            found = decode_audience_batch(one.value or b"")
            if invalidity(found) is None and one.kind in ("misplaced removal", "removal, many headers"):
                told[one.kind == "misplaced removal", bool(misplaced(found, one.partition or 0, PARTITIONS))] += 1
    assert told.keys() == {(True, True), (False, False)}
    assert layout(TopicNames("any"))[0].partitions == PARTITIONS


def test_good_records_add_a_person_and_take_the_same_one_out() -> None:
    added, removed = (decode_audience_batch(make_good(SEED, number).value or b"") for number in range(2))
    assert (added.mode, removed.mode) == ("add", "remove")
    assert (added.name, added.users) == (removed.name, removed.users)
    assert added.batch_id != removed.batch_id
    assert invalidity(added) is invalidity(removed) is None


def test_a_good_record_that_takes_too_long_is_a_fault_and_each_one_s_seconds_are_told() -> None:
    report = Report()
    report.note_good(1.2, "after records 0 to 100")
    assert not report.faults
    report.note_good(LONGEST_GOOD + 0.1, "after records 100 to 200")
    assert report.faults == {f"a good record took more than {LONGEST_GOOD:.0f} s": 1}
    assert any("1.2 30.1" in line for line in report.lines())


def test_a_record_without_one_receipt_and_one_end_each_that_agree_has_a_fault() -> None:
    receipt = BatchReceipt(origin=ORIGIN, timestamp=NOW, verdict="undecodable", reason="no known framing")
    end = BatchCompletion(origin=ORIGIN, provider="facebook", status="failed", error_code="undecodable")
    reported = Reported()
    assert len(list(faults_of(reported, ORIGIN, ["facebook"]))) == 2
    reported.take_receipt(receipt)
    reported.take_completion(end)
    assert not list(faults_of(reported, ORIGIN, ["facebook"]))
    assert list(faults_of(reported, ORIGIN, ["facebook", "klaviyo"])) == ["0 ends at klaviyo"]
    reported.take_completion(msgspec.structs.replace(end, status="skipped"))
    assert len(list(faults_of(reported, ORIGIN, ["facebook"]))) == 2


def test_a_replay_ends_each_valid_record_once_where_it_was_meant_for_and_nothing_else() -> None:
    receipt = BatchReceipt(origin=ORIGIN, timestamp=NOW, verdict="valid")
    end = BatchCompletion(origin=ORIGIN, provider="facebook", status="delivered")
    elsewhere = msgspec.structs.replace(end, provider="klaviyo", status="skipped")
    reported = Reported()
    reported.take_receipt(receipt)
    reported.take_completion(end)
    reported.take_completion(elsewhere)
    reported.settle()
    assert (reported.wanted, reported.ends, reported.is_replayed) == ({(ORIGIN, "facebook")}, {}, False)
    assert list(faults_of_replay(reported)) == ["0 ends of the replay at facebook"]
    reported.take_completion(msgspec.structs.replace(end, delivery="r-1"))
    assert reported.is_replayed
    assert not list(faults_of_replay(reported))
    reported.take_completion(msgspec.structs.replace(end, delivery="r-1", status="failed", error_code="bug"))
    reported.take_completion(msgspec.structs.replace(elsewhere, delivery="r-1"))
    assert list(faults_of_replay(reported)) == [
        *("2 ends of the replay at facebook", "replayed at facebook, failed: bug"),
        "replayed at klaviyo, which it was not to be",
    ]


@pytest.mark.parametrize("framing", [Framing(), Framing(OddRegistry())], ids=["alone", "with a registry"])
@pytest.mark.timeout(600)
async def test_what_nobody_should_write_ends_each_for_one_reason_and_holds_up_no_good_record(
    kafka: KafkaSettings, topic_prefix: str, framing: Framing
) -> None:
    report = Report()
    await run(kafka, topic_prefix, SEED, range(RECORDS // 2), framing, report)
    assert not report.faults, f"SEED={SEED}: {[(fault, n, report.first[fault]) for fault, n in report.faults.items()]}"
    assert (report.sent, len(report.seconds)) == (RECORDS // 2, RECORDS // 2 // AT_ONCE + 1)
    broken = report.verdicts["undecodable: the bytes are no AudienceBatch"]
    assert min(report.verdicts["valid"], broken) > RECORDS / 2 / 20
    wrong = [count for verdict, count in report.verdicts.items() if "wrong partition for a removal" in verdict]
    assert sum(wrong) > 0
    assert min(sum(n for end, n in report.replayed.items() if provider in end) for provider in PROVIDERS) > RECORDS / 20


@asynccontextmanager
async def ledger(found: World, framing: Framing) -> "AsyncIterator[asyncio.Task[None]]":
    """Keep receipts while the block is entered."""
    task = asyncio.create_task(keep_receipts(found.kafka, found.names, framing, lambda _: nullcontext()))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_kafka_connect_writes_by_mistake_is_undecodable_to_every_group(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """FileStreamSource with an Avro converter registers `"string"`; this ended every consumer again and again."""
    framing = Framing(Registry(['"string"']))
    async with world(kafka, topic_prefix, providers=["facebook"], framing=framing) as found, ledger(found, framing):
        await asyncio.to_thread(publish, found, b"\x00\x00\x00\x00\x00\x0aline", single_object(minimal_record(1)))
        async with asyncio.timeout(30):
            while len(await read_to_end(kafka, found.names.completions)) < 2:
                await asyncio.sleep(0.1)
            while len(await read_to_end(kafka, found.names.receipts)) < 2:
                await asyncio.sleep(0.1)
        ends = [
            decode_batch_completion(one.value, framing) for one in await read_to_end(kafka, found.names.completions)
        ]
        told = [decode_batch_receipt(one.value, framing) for one in await read_to_end(kafka, found.names.receipts)]
        assert {(end.status, end.error_code) for end in ends} == {("failed", "undecodable"), ("delivered", None)}
        assert {one.reason for one in told} == {"the schema id is not of AudienceBatch", None}


def break_on(value: bytes, patching: pytest.MonkeyPatch) -> None:
    """Have our code fail on one record wherever it is judged or opened."""
    judge, opened = receipts.judge, Handler.opened

    def check(record: Record) -> None:
        if record.value == value:
            raise KeyError("ada@example.com")

    def judging(record: Record, *others: Any) -> BatchReceipt:
        check(record)
        return judge(record, *others)

    async def opening(handler: Handler, record: Record) -> tuple[Job, AudienceBatch] | BatchCompletion:
        check(record)
        return await opened(handler, record)

    patching.setattr(receipts, "judge", judging)
    patching.setattr(Handler, "opened", opening)


async def ends_of(found: World, count: int) -> dict[str, list[tuple[str, str | None]]]:
    """Return how records ended, by what their deliveries are called, once that many have."""
    ends: dict[str, list[tuple[str, str | None]]] = {}
    for one in sorted(await found.completions(count), key=lambda one: one.origin):
        ends.setdefault(one.delivery, []).append((one.status, one.error_code))
    return ends


async def test_a_bug_that_one_record_meets_ends_it_and_no_other_in_every_group(
    kafka: KafkaSettings, topic_prefix: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bad, good = single_object(minimal_record(1)), single_object(minimal_record(2))
    break_on(bad, monkeypatch)
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, ledger(found, Framing()) as keeping:
        await asyncio.to_thread(publish, found, bad, good)
        assert await ends_of(found, 2) == {"live": [("failed", "bug"), ("delivered", None)]}

        async with asyncio.timeout(30):
            while len(told := await read_to_end(kafka, found.names.receipts)) < 2:
                await asyncio.sleep(0.1)
        verdicts = [(one.verdict, one.reason) for one in map(decode_batch_receipt, (one.value for one in told))]
        assert sorted(verdicts, key=str) == [("undecodable", "our code fails on it"), ("valid", None)]
        assert not keeping.done()

        first, second = sorted(one.origin for one in await found.completions(2))
        async with Writer(kafka) as writer:
            retry = found.names.retry(Target("facebook").group_id(topic_prefix))
            pointer = msgspec.structs.replace(POINTER, origin=first, not_before=datetime.now(UTC))
            await writer.send(retry, str(first), encode_retry_pointer(pointer))
        assert (await ends_of(found, 3))["live"] == [("failed", "bug"), ("failed", "bug"), ("delivered", None)]

        seen, deployment = Seen(), Deployment(kafka=kafka, names=found.names, framing=Framing())
        order = ReplayOrder(
            replay_id="r-00000001", wishes=dict.fromkeys((first, second), Wish(audience="VIP")), rate=1.0, removed=()
        )
        served = sandbox_account(Target("facebook"), found.sandbox_url)
        await replay(served, ConsumerSettings(), deployment, order, seen)
        assert sorted((one.status, one.error_code) for one in seen.ends) == [("delivered", None), ("failed", "bug")]
        assert await found.members("facebook") == hashes(2)
    logged = capfd.readouterr()
    assert "KeyError" in logged.out + logged.err
    assert "ada@example.com" not in logged.out + logged.err


async def test_a_pointer_that_can_not_be_read_ends_its_record(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, Writer(kafka) as writer:
        assert (await found.upload(make_users(1), "?sync=true"))[0] == 200
        [live] = await found.completions(1)
        retry = found.names.retry(Target("facebook").group_id(topic_prefix))
        await writer.send(retry, "not a place", b"garbage")
        await writer.send(retry, "elsewhere-0@1", b"garbage")
        await writer.send(retry, f"{found.names.batches}-0@99999", b"garbage")
        await writer.send(retry, f"{found.names.batches}-999@0", b"garbage")
        await writer.send(retry, str(live.origin), b"garbage")
        [ended] = [one for one in await found.completions(2) if one.status == "failed"]
        assert (ended.origin, ended.error_code) == (live.origin, "undecodable")
        assert (await found.upload(make_users(1), "?sync=true", name="Next"))[0] == 200
        assert len(await found.completions(3)) == 3


async def test_a_pointer_to_a_partition_that_is_not_there_ends_instead_of_waiting_for_ever(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, Writer(kafka) as writer:
        nowhere = Origin(topic=found.names.batches, partition=99, offset=0)
        pointer = msgspec.structs.replace(POINTER, origin=nowhere)
        retry = found.names.retry(Target("facebook").group_id(topic_prefix))
        await writer.send(retry, str(nowhere), encode_retry_pointer(pointer))
        [ended] = await found.completions(1)
        assert (ended.origin, ended.status, ended.error_code) == (nowhere, "failed", "expired")


@pytest.mark.parametrize(
    "changes", [{"not_before": END_OF_TIME}, {"attempt": 2**31 - 1}, {"may_take_effect_until": END_OF_TIME}], ids=str
)
async def test_a_pointer_that_says_its_record_waits_for_thousands_of_years_ends_it(
    kafka: KafkaSettings, topic_prefix: str, changes: dict[str, Any]
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, Writer(kafka) as writer:
        assert (await found.upload(make_users(1), "?sync=true"))[0] == 200
        [live] = await found.completions(1)
        pointer = msgspec.structs.replace(POINTER, origin=live.origin, **changes)
        retry = found.names.retry(Target("facebook").group_id(topic_prefix))
        await writer.send(retry, str(live.origin), encode_retry_pointer(pointer))
        [ended] = [one for one in await found.completions(2) if one.status == "failed"]
        assert (ended.origin, ended.error_code) == (live.origin, "undecodable")
        assert (await found.upload(make_users(1), "?sync=true", name="Next"))[0] == 200


def test_a_claim_that_says_it_lasts_for_thousands_of_years_ends() -> None:
    for written, ends in ((START_OF_TIME, END_OF_TIME), (END_OF_TIME, START_OF_TIME)):
        claim = Claim(nonce="n", expires_at=ends)
        entry = DirectoryEntry(
            provider="p", host="h", platform_account_id="1", platform_name="n", type="custom", claim=claim,
            written_at=written,
        )  # fmt: skip
        held = fold(None, entry, NOW)
        assert held is not None
        assert NOW <= held.until < NOW + timedelta(days=60)


async def test_a_completion_that_the_topic_is_too_small_for_is_said_in_its_smallest_form(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        await asyncio.to_thread(_limit, kafka, found.names.completions, SURELY_SMALL)
        account = sandbox_account(parse_target("facebook"), found.sandbox_url)
        plain = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, properties={"compression.type": "none"})
        async with consuming_one(account, plain, found.names):
            users = [*make_users(2), *({"email": f"nobody{number}"} for number in range(1_000))]
            assert (await found.upload(users))[0] == 200
            [end] = await found.completions(1)
            assert (end.status, end.counts.accepted, end.counts.rejected) == ("partial", 2, 1_000)
            assert (end.rejected_users, end.batch_id is not None) == ([], True)


def _limit(kafka: KafkaSettings, topic: str, size: int) -> None:
    change = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    admin = AdminClient(kafka.client())
    for done in admin.incremental_alter_configs([resource]).values():
        done.result()
