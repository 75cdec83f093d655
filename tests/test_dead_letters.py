"""`audience dead-letters`: which failures stand, what they were about, and how little of anybody is shown."""

import asyncio
import io
import json
import random
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from test_cli import audience
from test_ledger import ledger, receipts
from test_pipeline import minimal_record, publish, single_object
from test_refusals import fault
from world import World, make_batch, make_users, world

from cli.arguments import session as _session
from cli.dead_letters.command import list_dead_letters, show_dead_letters
from cli.dead_letters.failures import DeadLetters, Offsets, Wanted
from cli.dead_letters.invalid_records import COLUMNS as INVALID_COLUMNS
from cli.dead_letters.printing import COLUMNS, Shown, cells
from cli.dead_letters.reader import DeadLetterReader
from cli.printing.escaping import printable
from cli.printing.masking import DOTS, mask, masked
from cli.printing.tables import print_rows
from schemas.avro.codec import encode_batch_completion, encode_batch_receipt
from schemas.avro.framing import Framing
from schemas.error_words import VOCABULARY
from schemas.records import AudienceUser, BatchCompletion, BatchReceipt, Counts, Origin, Purchase, RejectedUser, Status
from schemas.target import Target
from streams.client.schema_registry import ConfluentRegistry
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.write.writer import Writer

NOW = datetime(2030, 1, 31, tzinfo=UTC)
BATCH_ID = "00000000-0000-4000-8000-000000000001"
ADA = {
    "edgeTagId": "edge-ada",
    "email": "ada@example.com",
    "phone": "+14155550100",
    "firstName": "Ada",
    "country": "US",
    "purchase": {"currency": "USD", "profit": 1234.5},
}
VALUES = ("edge-ada", "ada@example.com", "+14155550100", "Ada", "US", "USD", "1234.5")


def make_completion(status: Status = "failed", *, at: int = 0, offset: int = 0, **changes: object) -> BatchCompletion:
    """Return a completion that ended `at` minutes after NOW."""
    completion = BatchCompletion(
        batch_id=BATCH_ID,
        part=1,
        parts=1,
        origin=Origin(topic="audience.batches", partition=0, offset=offset),
        provider="facebook",
        status=status,
        error_code="audience_refused" if status == "failed" else None,
        counts=Counts(received=3),
        attempts=1,
        finished_at=NOW + timedelta(minutes=at),
    )
    return msgspec.structs.replace(completion, **changes)


def standing(completions: Sequence[BatchCompletion]) -> list[BatchCompletion]:
    """Return what a fold of completions leaves."""
    letters = DeadLetters()
    for completion in completions:
        letters.take(completion)
    return letters.standing()


one_delivery = st.lists(
    st.tuples(st.sampled_from(["retrying", "delivered", "partial", "failed", "skipped"]), st.integers(0, 2)),
    max_size=8,
)


@given(one_delivery, st.randoms())
def test_the_last_failure_stands_unless_a_delivery_ended_otherwise_in_whatever_order_that_is_read(
    ends: list[tuple[Status, int]], chance: random.Random
) -> None:
    told = [make_completion(status, at=at, offset=offset) for at, (status, offset) in enumerate(ends)]
    expected = {}
    for completion in told:
        if completion.status == "failed":
            expected[completion.origin] = completion
    for completion in told:
        if completion.status in ("delivered", "partial", "skipped"):
            expected.pop(completion.origin, None)
    newest_first = sorted(expected.values(), key=lambda letter: letter.finished_at or NOW, reverse=True)
    assert standing(told) == newest_first
    shuffled = list(told)
    chance.shuffle(shuffled)
    assert standing(shuffled) == newest_first


def test_each_account_is_a_matter_of_its_own() -> None:
    others = [
        make_completion(account="eu"),
        make_completion(provider="tiktok"),
        make_completion(origin=Origin(topic="audience.batches", partition=1, offset=0)),
    ]
    left = standing([make_completion(), make_completion("delivered"), *others])
    assert sorted(map(repr, left)) == sorted(map(repr, others))


def test_what_a_replay_got_through_is_no_letter_any_more_and_what_it_failed_is_one_letter() -> None:
    failed, again = make_completion(), make_completion(delivery="r-1", at=1)
    assert standing([again, failed]) == [again]
    assert standing([failed, make_completion("delivered", delivery="r-2", at=2), again]) == []


def test_a_letter_holds_no_list_of_users_and_the_log_s_time_where_it_has_none() -> None:
    letters = DeadLetters()
    users = [RejectedUser(index=number, reason="bug") for number in range(1000)]
    letters.take(make_completion(rejected_users=users, finished_at=None), NOW)
    assert letters.standing()[0].rejected_users == []
    assert letters.standing()[0].finished_at == NOW


@given(st.sets(st.integers(0, 2**63 - 1) | st.integers(0, 5000)), st.lists(st.integers(0, 5000)))
def test_a_set_of_offsets_has_what_was_put_in_and_nothing_else(inside: set[int], asked: list[int]) -> None:
    offsets = Offsets()
    for offset in inside:
        offsets.add(offset)
    assert all(offset in offsets for offset in inside)
    assert [offset in offsets for offset in asked] == [offset in inside for offset in asked]


def test_filters_mean_what_they_say_and_all_of_them_together() -> None:
    letter = make_completion(account="eu", session_id="5", at=-60)
    for wanted, has in (
        (Wanted(), True),
        (Wanted(providers=["facebook"]), True),
        (Wanted(providers=["tiktok", "facebook/eu"]), True),
        (Wanted(providers=["facebook/us"]), False),
        (Wanted(reasons=["bug", "audience_refused"]), True),
        (Wanted(reasons=["bug"]), False),
        (Wanted(session_id="5"), True),
        (Wanted(session_id="50"), False),
        (Wanted(age=timedelta(hours=1)), True),
        (Wanted(age=timedelta(minutes=59)), False),
        (Wanted(providers=["facebook"], age=timedelta(minutes=59)), False),
    ):
        assert wanted.has(letter, NOW) == has, wanted
    assert not Wanted(age=timedelta(days=9999)).has(make_completion(finished_at=None), NOW)


@pytest.mark.parametrize(
    ("given_text", "session_id"),
    [
        ("5.0", "5"),
        ("5", "5"),
        ("1e3", "1000"),
        ("0.5", "0.5"),
        ("2026-08", "2026-08"),
        ("1e999", "1e999"),
        ("05", "05"),
    ],
)
def test_a_session_is_found_by_any_way_to_write_its_number(given_text: str, session_id: str) -> None:
    assert _session(given_text) == session_id


@given(st.text(), st.text())
def test_a_mask_shows_at_most_the_first_character_and_nothing_of_the_rest_nor_its_length(start: str, rest: str) -> None:
    assert mask(start) == mask(start[:1] + rest if start else "")
    assert mask(start) in (start[:1] + DOTS, DOTS)
    assert mask(start) == printable(mask(start))


texts = st.text(min_size=1, max_size=20)
users = st.builds(
    AudienceUser,
    edge_tag_id=texts,
    email=texts,
    phone=st.none() | texts,
    purchase=st.builds(Purchase, currency=texts, profit=st.floats(allow_nan=False), total_7_days=st.floats(0, 9)),
)


@given(users)
def test_a_masked_user_has_the_same_fields_and_no_value(user: AudienceUser) -> None:
    shown, whole = masked(user), msgspec.to_builtins(user)
    assert shown.keys() == whole.keys()
    assert shown["email"] == mask(whole["email"])
    assert shown["purchase"].keys() == whole["purchase"].keys()
    assert {shown["purchase"].get(name, DOTS) for name in ("profit", "total7Days")} == {DOTS}


@pytest.mark.parametrize(("width", "is_table"), [(60, False), (130, False), (200, True)])
def test_a_terminal_gets_a_table_where_it_fits_and_nothing_is_cut_off_or_steers_it(width: int, is_table: bool) -> None:
    letter = make_completion(session_id="\x1b[31mred[/red]", platform_code="190/463", at=1)
    output = io.StringIO()
    print_rows(COLUMNS, [cells(letter)], Console(file=output, width=width, force_terminal=True, color_system=None))
    assert ("│" in output.getvalue()) == is_table
    (line,) = [line for line in output.getvalue().splitlines() if "audience.batches" in line]
    assert re.split(r" {2,}", line.replace("│", "  ").strip()) == [
        "audience.batches-0@0",
        "facebook",
        "audience_refused (190/463)",
        "3",
        "\N{REPLACEMENT CHARACTER}[31mred[/red]",
        "-",
        BATCH_ID,
        "2030-01-31 00:01:00Z",
        "1",
    ]


def settings(found: World) -> dict[str, str]:
    """Return what the command needs to know."""
    return {"KAFKA_BOOTSTRAP_SERVERS": found.kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": found.names.prefix}


async def fail_two(found: World) -> str:
    """Let an upload fail at Facebook and a smaller one at TikTok; return the batch id of the first."""
    await found.inject(**fault("facebook", "2650"))
    people = [ADA, *make_users(19)]
    status, body, _ = await found.upload(people, "?sync=true&detail=true", batch=make_batch(sessionId=5.0))
    assert (status, len(body["errors"])) == (400, 1)
    await found.inject(**fault("tiktok", "40000"))
    assert (await found.upload(make_users(1), "?sync=true", name="Others"))[0] == 400
    return str(body["batchId"])


async def test_failures_of_uploads_are_listed_and_filtered(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook", "tiktok"]) as found:
        batch_id, environ = await fail_two(found), settings(found)

        code, output, errors = await audience(tmp_path, "dead-letters", "list", **environ)
        assert code == 0
        header, newest, older = output.splitlines()
        assert re.split(r" {2,}", header) == list(COLUMNS)
        cell = re.split(r" {2,}", older)
        assert cell[1:7] == ["facebook", "audience_refused (2650)", "20", "5", "1", batch_id]
        assert "  tiktok    request_refused (40000)  1 " in newest
        assert errors == "Dead letters: 2 (facebook audience_refused: 1, tiktok request_refused: 1).\n"

        filters = ["--provider", "tiktok", "--provider", "facebook", "--session", "5.0", "--age", "1h"]
        code, output, _ = await audience(tmp_path, "dead-letters", "list", "--json", *filters, **environ)
        (letter,) = [json.loads(line) for line in output.splitlines()]
        assert datetime.fromisoformat(letter.pop("failedAt")) < datetime.now(UTC)
        assert letter == {
            "origin": cell[0],
            "delivery": "live",
            "provider": "facebook",
            "account": None,
            "mode": "add",
            "reason": "audience_refused",
            "platformCode": "2650",
            "users": 20,
            "sessionId": "5",
            "sequence": 1,
            "batchId": batch_id,
            "attempts": 1,
        }
        answer = await audience(tmp_path, "dead-letters", "list", "--reason", "bug", **environ)
        assert answer == (0, "", "No dead letter is meant by these filters; without them there are 2.\n")


async def test_a_letter_is_shown_with_its_reason_and_its_users_are_masked_unless_asked_otherwise(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook", "tiktok"]) as found:
        batch_id, environ = await fail_two(found), settings(found)

        _, output, _ = await audience(tmp_path, "dead-letters", "show", batch_id, "--json", "--users", "1", **environ)
        shown = json.loads(output)
        assert [one["meaning"] for one in shown["letters"]] == [VOCABULARY["audience_refused"].meaning]
        assert (shown["batch"]["sessionId"], shown["batch"]["usersInAll"]) == ("5", 20)
        (user,) = shown["batch"]["users"]
        assert user["purchase"] == {"currency": f"U{DOTS}", "profit": DOTS}

        code, output, errors = await audience(tmp_path, "dead-letters", "show", shown["origin"], **environ)
        assert (code, errors) == (0, "")
        for word in ("audience_refused (2650)", VOCABULARY["audience_refused"].meaning, "request-1", batch_id, "VIP"):
            assert word in output
        assert f"email a{DOTS}  phone +{DOTS}  firstName A{DOTS}" in output
        assert not [value for value in (*VALUES, "person", "example.com") if value in output]
        assert len(re.findall(f"email .{DOTS}", output)) == 10
        assert "10 more users are in the record" in output

        asked = ["show", batch_id, "--users", "20", "--unmasked"]
        code, output, _ = await audience(tmp_path, "dead-letters", *asked, **environ)
        assert all(value in output for value in (*VALUES, "person18@example.com"))


async def test_what_left_the_log_or_is_no_avro_is_said_in_a_sentence(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        await asyncio.to_thread(publish, found, b"garbage", single_object(minimal_record(1)))
        (letter,) = [one for one in await found.completions(2) if one.status == "failed"]
        code, output, _ = await audience(tmp_path, "dead-letters", "show", str(letter.origin), **settings(found))
        assert code == 0
        assert "The record has 7 bytes and can't be decoded: no known framing." in output
        assert "users       0 received" in output

        await asyncio.to_thread(delete_before, kafka, letter.origin)
        code, output, _ = await audience(tmp_path, "dead-letters", "show", str(letter.origin), **settings(found))
        assert code == 0
        assert output.splitlines()[0] == f"{letter.origin} to facebook"
        assert output.splitlines()[-1] == "The record has left the log, and its users with it."
        found_json = await audience(tmp_path, "dead-letters", "show", str(letter.origin), "--json", **settings(found))
        assert json.loads(found_json[1])["batch"] is None


def delete_before(kafka: KafkaSettings, origin: Origin) -> None:
    """Let a record leave the log, as those do that are too old."""
    admin, where = AdminClient(kafka.client()), TopicPartition(origin.topic, origin.partition, origin.offset + 1)
    admin.delete_records([where])[where].result(timeout=10)


async def write(kafka: KafkaSettings, names: TopicNames, values: Sequence[bytes]) -> None:
    """Write values to the topic of completions, in one partition."""
    await ensure_topics(kafka, layout(names))
    async with Writer(kafka) as writer:
        for value in values:
            await writer.send(names.completions, BATCH_ID, value)


async def test_completions_that_nobody_can_decode_are_counted_and_stop_nothing(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    good = encode_batch_completion(make_completion(origin=Origin(topic=names.batches, partition=3, offset=17)))
    nowhere = encode_batch_completion(make_completion(origin=Origin(topic=names.batches, partition=99, offset=0)))
    await write(kafka, names, [b"", b"garbage", good[:-2], b"\xc3\x01" + b"x" * 20, nowhere, good])
    environ = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": topic_prefix}
    code, output, errors = await audience(tmp_path, "dead-letters", "list", **environ)
    assert code == 0
    places = [f"{names.batches}-99@0", f"{names.batches}-3@17"]
    assert [line.split()[0] for line in output.splitlines()] == ["origin", *places]
    left_out, counted = errors.splitlines()
    assert left_out == "Completions that could not be decoded and are left out: 4."
    assert counted == "Dead letters: 2 (facebook audience_refused: 2)."
    code, output, errors = await audience(tmp_path, "dead-letters", "show", f"{names.batches}-3@17", **environ)
    assert (code, output.splitlines()[-1]) == (0, "The record has left the log, and its users with it.")
    code, output, errors = await audience(tmp_path, "dead-letters", "show", f"{names.batches}-99@0", **environ)
    assert (code, output.splitlines()[-1]) == (0, "The record has left the log, and its users with it.")


async def test_a_record_that_is_quarantined_is_shown_without_being_read(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    origin = Origin(topic=names.batches, partition=3, offset=17)
    letter = msgspec.structs.replace(make_completion(origin=origin), error_code="quarantined")
    await write(kafka, names, [encode_batch_completion(letter)])
    environ = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": topic_prefix}
    code, output, _ = await audience(tmp_path, "dead-letters", "show", str(origin), **environ)
    assert (code, output.splitlines()[-1]) == (
        0, "The record is quarantined: it ends the process that reads it, so it is not shown."
    )  # fmt: skip


async def test_where_nothing_failed_that_is_said_and_no_error(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    failed = make_completion(at=0)
    await write(kafka, names, list(map(encode_batch_completion, [failed, make_completion("partial", at=1), failed])))
    environ = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": topic_prefix}
    for options in ([], ["--json"]):
        answer = await audience(tmp_path, "dead-letters", "list", *options, **environ)
        assert answer == (0, "", "There are no dead letters.\n")


async def test_a_place_where_there_is_no_letter_is_told_in_one_sentence(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    await write(kafka, names, [])
    environ = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": topic_prefix}
    for place, words in (
        ("nonsense", "write where the record stands, such as"),
        (f"{names.batches}-x@1", "write where the record stands, such as"),
        ("other.batches-3@17", f"the log is {names.batches}"),
        (f"{names.batches}-99@17", "no dead letter stands at"),
        (BATCH_ID, "no dead letter stands at"),
    ):
        code, output, errors = await audience(tmp_path, "dead-letters", "show", place, **environ)
        assert (code, output, len(errors.splitlines())) == (1, "", 1)
        assert errors.startswith(f"audience dead-letters: {words}")


async def test_without_a_kafka_or_with_wrong_filters_the_command_says_what_to_do(tmp_path: Path) -> None:
    code, _, errors = await audience(tmp_path, "dead-letters", "list")
    assert (code, errors.strip().endswith("or start a Kafka of your own here with `audience up`")) == (1, True)
    for option, value, words in (
        ("--reason", "bad_luck", "`audience errors` prints them all"),
        ("--provider", "myspace", "there are facebook, klaviyo, tiktok"),
        ("--age", "soon", "such as 15m, 2h or 30d"),
    ):
        code, _, errors = await audience(tmp_path, "dead-letters", "list", option, value)
        assert (code, words in errors) == (2, True)


@pytest.mark.parametrize("words", [[], ["list"], ["show"]])
async def test_the_command_and_its_parts_explain_themselves(tmp_path: Path, words: list[str]) -> None:
    code, output, _ = await audience(tmp_path, "dead-letters", *words, "--help")
    assert (code, len(output.splitlines()) > 5) == (0, True)


async def test_letters_are_read_with_a_schema_registry_too(
    kafka: KafkaSettings, topic_prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = TopicNames(topic_prefix)
    framing = Framing(ConfluentRegistry("mock://", names.of_records))
    async with world(kafka, topic_prefix, providers=["facebook"], framing=framing) as found:
        await found.inject(**fault("facebook", "2650"))
        assert (await found.upload([ADA], "?sync=true"))[0] == 400
    post = DeadLetterReader(kafka=kafka, names=names, framing=framing)
    capsys.readouterr()
    await list_dead_letters(post, Wanted(), datetime.now(UTC), as_json=True)
    letter = json.loads(capsys.readouterr().out)
    assert Target(letter["provider"], letter["account"] or "") == Target("facebook")
    await show_dead_letters(post, letter["origin"], Shown(users=1, is_masked=True), as_json=True)
    assert json.loads(capsys.readouterr().out)["batch"]["users"][0]["email"] == f"a{DOTS}"


async def test_records_that_are_not_valid_are_listed_with_the_reason_whoever_published_them(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found, ledger(found):
        wrong = {**minimal_record(1), "batchId": "no uuid", "name": "\x1b[31mred", "sessionId": "5"}
        await asyncio.to_thread(publish, found, single_object(minimal_record(1)), single_object(wrong))
        await receipts(found, 2)
        await asyncio.to_thread(publish, found, b"garbage")
        await receipts(found, 3)
        environ = settings(found)

        code, output, errors = await audience(tmp_path, "dead-letters", "list", "--invalid", **environ)
        assert (code, errors) == (0, "Records that are not valid: 2 (invalid: 1, undecodable: 1).\n")
        header, newest, older = (re.split(r" {2,}", line) for line in output.splitlines())
        assert header == list(INVALID_COLUMNS)
        assert newest[1:7] == ["undecodable", "no known framing", "-", "-", "-", "-"]
        red = "\N{REPLACEMENT CHARACTER}[31mred"
        assert older[1:7] == ["invalid", "batchId: expected a UUID", "-", red, "5", "no uuid"]

        asked = ["--invalid", "--json", "--session", "5.0", "--age", "1h"]
        code, output, _ = await audience(tmp_path, "dead-letters", "list", *asked, **environ)
        (told,) = [json.loads(line) for line in output.splitlines()]
        assert datetime.fromisoformat(told.pop("at")) < datetime.now(UTC)
        assert told == {
            "origin": older[0],
            "verdict": "invalid",
            "reason": "batchId: expected a UUID",
            "source": None,
            "name": "\x1b[31mred",
            "type": "custom",
            "mode": "add",
            "sessionId": "5",
            "batchId": "no uuid",
            "users": 1,
        }
        answer = await audience(tmp_path, "dead-letters", "list", "--invalid", "--session", "6", **environ)
        assert answer[1:] == ("", "No record is meant by these filters; without them there are 2 that are not valid.\n")
        code, _, errors = await audience(tmp_path, "dead-letters", "list", "--invalid", "--reason", "bug", **environ)
        assert (code, errors.strip().endswith("leave out --provider and --reason")) == (1, True)


async def test_a_receipt_that_comes_twice_counts_once_and_one_that_nobody_can_decode_stops_nothing(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = TopicNames(topic_prefix)
    environ = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "AUDIENCE_TOPIC_PREFIX": topic_prefix}
    await ensure_topics(kafka, layout(names))
    answer = await audience(tmp_path, "dead-letters", "list", "--invalid", **environ)
    assert answer == (0, "", "No record of the log is invalid.\n")
    origin = Origin(topic=names.batches, partition=3, offset=17)
    receipt = BatchReceipt(origin=origin, timestamp=NOW, verdict="undecodable", reason="no known framing")
    async with Writer(kafka) as writer:
        for value in (encode_batch_receipt(receipt), b"garbage", encode_batch_receipt(receipt)):
            await writer.send(names.receipts, receipt.key, value)
    code, output, errors = await audience(tmp_path, "dead-letters", "list", "--invalid", **environ)
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()] == ["origin", str(origin)]
    assert errors.splitlines() == [
        "Receipts that could not be decoded and are left out: 1.",
        "Records that are not valid: 1 (undecodable: 1).",
    ]
