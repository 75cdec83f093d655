"""The chaos run: what it plans, how it judges, and that the product passes it."""

import asyncio
import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.chaos.ends import is_known_end
from checks.chaos.logs import UNEXPECTED, troubles_in
from checks.chaos.plan import PLATFORM_FAULTS, PROCESS_FAULTS, PROVIDERS, make_plan
from checks.chaos.processes import Notes, Process
from checks.chaos.run import chaos_environment
from checks.chaos.uploads import fate_of
from checks.chaos.verdict import MAY, MUST, MUST_NOT, Upload, compare, faults_of, faults_of_strays, fold, longest_stall
from cli.demo.made_up_people import MOST_PEOPLE, make_people
from cli.local_stack.supervisor import Part
from schemas.records import BatchCompletion, BatchReceipt, Counts, Origin, Status, Verdict
from schemas.target import Target
from streams.processes.lifeline import Lifeline

ROOT = Path(__file__).parent.parent
TIKTOK = Target("tiktok")
FIRST, SECOND = (Origin(topic="log", partition=0, offset=offset) for offset in range(2))


@given(seed=st.integers(), seconds=st.floats(10, 300))
def test_a_plan_is_its_seed_s_in_order_in_time_and_of_every_kind(seed: int, seconds: float) -> None:
    plan = make_plan(random.Random(seed), seconds)
    assert plan == make_plan(random.Random(seed), seconds)
    assert plan == sorted(plan, key=lambda fault: fault.at)
    assert all(0 <= fault.at <= seconds and 0 <= fault.choice < 1 and fault.calls >= 1 for fault in plan)
    assert {fault.kind for fault in plan} == {*PROCESS_FAULTS, *PLATFORM_FAULTS}
    assert {fault.provider for fault in plan} == set(PROVIDERS)
    assert all(0.2 <= fault.seconds <= 14 for fault in plan)


def test_some_pauses_outlast_a_session() -> None:
    pauses = [fault.seconds for fault in make_plan(random.Random(1), 240) if fault.kind.startswith("pause")]
    assert min(pauses) < 10 < max(pauses)


@pytest.mark.parametrize(
    ("status", "body", "fate"),
    [
        (200, {"success": True}, MUST),
        (504, {"errors": ["tiktok: still in progress; see batch 1"]}, MUST),
        (400, {"errors": ["tiktok: blocked: token_invalid (40102)", "facebook: still in progress"]}, MUST),
        (503, {"errors": ["Kafka can't be reached; nothing was accepted, send the request again"]}, MUST_NOT),
        (503, {"errors": ["Kafka: not confirmed; send the same request again"]}, MAY),
        (400, {"errors": ["name: send it, it is required"]}, None),
        (400, {"errors": ["tiktok: failed", "name: send it, it is required"]}, None),
        (400, "No users in the segment. Segment cannot be created.", None),
        (500, {"errors": ["server: an unexpected error"]}, None),
        (200, "<html>", None),
        (503, {}, None),
    ],
)
def test_an_answer_says_whether_users_must_get_in(status: int, body: object, fate: str | None) -> None:
    assert fate_of(status, body, PROVIDERS) == fate


def test_one_answer_that_accepts_an_upload_is_final_and_a_doubt_is_not_undone() -> None:
    for answers, fate in [
        ([MUST_NOT], MUST_NOT),
        ([MUST_NOT, MAY, MUST_NOT], MAY),
        ([MAY, MUST], MUST),
        ([MUST, MUST_NOT], MUST),
    ]:
        upload = Upload(audience="VIP", start=0, count=1)
        for answer in answers:
            upload.note(answer)
        assert upload.fate == fate


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_every_user_too_few_and_too_many_is_found(data: st.DataObject) -> None:
    provider = data.draw(st.sampled_from(PROVIDERS))
    uploads = [
        Upload(audience="VIP", start=100 * number, count=50, fate=fate)
        for number, fate in enumerate((MUST, MAY, MUST_NOT))
    ]
    must, may, never = (sorted(upload.members(provider)) for upload in uploads)
    assert compare(must, uploads, provider) == compare([*must, *may], uploads, provider)
    lost = data.draw(st.sets(st.sampled_from(must)))
    slipped = data.draw(st.sets(st.sampled_from(never)))
    invented = data.draw(st.sets(st.integers(), max_size=5))
    held = {*must, *may, *slipped, *((str(number),) for number in invented)} - lost
    found = compare(held, uploads, provider)
    assert found.lacking == ({0: len(lost)} if lost else {})
    assert found.refused == ({2: len(slipped)} if slipped else {})
    assert found.others == len(invented)


def completion(status: Status, origin: Origin = FIRST, **more: object) -> BatchCompletion:
    """Return a completion of TikTok's."""
    counts = Counts(received=3, accepted=2, rejected=1)
    facts = {"counts": counts, "rejected_reasons": {"email: not_an_email": 1}, **more}
    return BatchCompletion(provider="tiktok", origin=origin, status=status, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("completions", "fault"),
    [
        ([], "no terminal completion"),
        ([completion("retrying")], "no terminal completion"),
        ([completion("failed", error_code="bug")], "failed: bug after 0 attempts, batch None"),
        ([completion("skipped")], "skipped: None after 0 attempts, batch None"),
        ([completion("partial"), completion("failed", error_code="bug")], ""),
        ([completion("failed", error_code="bug"), completion("delivered")], ""),
        (
            [completion("partial", rejected_reasons={"refused_by_platform": 1})],
            "sound users rejected: {'refused_by_platform': 1}, batch None",
        ),
        ([completion("delivered", counts=Counts(received=3, accepted=2))], "2 of 3 users accounted for"),
    ],
)
def test_a_record_without_a_success_or_with_sound_users_rejected_is_found(
    completions: list[BatchCompletion], fault: str
) -> None:
    told = faults_of(fold(completions), [FIRST], [TIKTOK])
    assert told == ([f"tiktok: {FIRST}: {fault}"] if fault else [])


def receipt(verdict: Verdict, reason: str | None = None) -> BatchReceipt:
    return BatchReceipt(origin=FIRST, timestamp=datetime(2026, 1, 1, tzinfo=UTC), verdict=verdict, reason=reason)


@pytest.mark.parametrize(
    ("receipts", "completions", "fault"),
    [
        ([receipt("valid")] * 2, [completion("delivered")], None),
        ([receipt("valid")], [completion("failed", error_code="name_taken")], None),
        ([receipt("invalid", "name")], [completion("skipped", error_code="invalid_batch")], None),
        ([receipt("undecodable", "none")], [completion("failed", error_code="undecodable")], None),
        ([], [completion("delivered")], f"a stray, {FIRST}: 0 verdicts"),
        ([receipt("valid"), receipt("invalid", "name")], [completion("delivered")], f"a stray, {FIRST}: 2 verdicts"),
        ([receipt("valid")], [completion("retrying")], f"tiktok: a stray, {FIRST}: no terminal completion"),
        ([receipt("invalid", "name")], [completion("delivered")], f"tiktok: a stray, {FIRST}: invalid by its receipt"),
        ([receipt("valid")], [completion("failed", error_code="bug")], f"tiktok: a stray, {FIRST}: valid by its"),
    ],
)
def test_a_record_that_nobody_should_write_has_one_verdict_and_an_end_that_agrees(
    receipts: list[BatchReceipt], completions: list[BatchCompletion], fault: str | None
) -> None:
    told = list(faults_of_strays(fold(completions), receipts, [FIRST], [TIKTOK]))
    assert bool(told) == bool(fault)
    assert (told or [""])[0].startswith(fault or "")


def test_a_stall_is_a_time_without_an_end_while_something_waits() -> None:
    first, second = (FIRST, TIKTOK), (SECOND, TIKTOK)
    assert longest_stall({}, {}) == 0
    assert longest_stall({first: 1}, {}) == 0
    assert longest_stall({first: 1}, {first: 4}) == 3
    assert longest_stall({first: 1, second: 100}, {first: 4, second: 101}) == 3
    assert longest_stall({first: 0, second: 1}, {first: 5, second: 20}) == 15
    assert longest_stall({first: 0, second: 10}, {first: 5, second: 20}) == 10


STARTED = b'{"target": "tiktok", "event": "Consuming.", "level": "info"}\n'
AT_WORK = b'{"partitions": [1], "event": "Partitions assigned.", "level": "info"}\n'
AWAY = b"audience consume: Kafka does not say what audience.directory holds (_TRANSPORT).\n"


@pytest.mark.parametrize(
    ("code", "said", "is_known"),
    [
        (1, AWAY, True),
        (1, STARTED + AWAY, True),
        (1, b"audience serve: No Kafka answers at 127.0.0.1:20001 (_TRANSPORT: refused).\n", True),
        (1, b"audience serve: No broker answers: nothing was sent, try again later.\n", True),
        (1, STARTED + AT_WORK + AWAY, False),
        (1, b'{"event": "Listening."}\n' + AWAY, False),
        (0, AWAY, False),
        (1, AWAY + STARTED, False),
        (1, b"", False),
        (0, b"", False),
        (1, b"Traceback (most recent call last):\nValueError\n", False),
        (1, b"audience consume: The producer failed for good (_FATAL): nothing more can be written.\n", False),
        (1, b"audience consume: A thread ended by an error, which the log describes: start it again.\n", False),
        (1, b"audience sandbox: Address already in use\n", False),
    ],
)
def test_only_a_start_that_kafka_did_not_answer_may_end_by_itself(code: int, said: bytes, is_known: bool) -> None:
    assert is_known_end(code, said) == is_known


class Scripted(Part):
    """A part that runs a script instead of a command."""

    def start(self, lifeline: Lifeline) -> None:
        del lifeline
        assert self.output is not None
        with self.output.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-c", *self.arguments], stderr=log)


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("import sys; sys.exit('audience serve: No Kafka answers at 127.0.0.1:20001 (_TRANSPORT).')", ""),
        (
            "import sys; sys.exit('audience serve: it is something else')",
            "made ended by itself with 1; made.log:3",
        ),
        ("", "made ended by itself with 0; made.log:2 is no reason that is known"),
        ("import os; os.kill(os.getpid(), 9)", "made was ended by signal 9"),
    ],
)
async def test_an_end_that_nobody_asked_for_is_a_difference_unless_its_reason_is_known(
    tmp_path: Path, script: str, fault: str
) -> None:
    log = tmp_path / "made.log"
    log.write_bytes(AT_WORK + AWAY)  # of a process before, which says nothing of this one
    notes, lifeline = Notes(), Lifeline()
    part = Scripted(name="made", arguments=[script], environment={}, output=log)
    process = Process(kind="made", part=part, lifeline=lifeline, notes=notes)
    process.begin()
    async with asyncio.timeout(30):
        while not notes.alone:
            await asyncio.sleep(0.02)
    await process.drop()
    lifeline.close()
    assert notes.alone.total() == 1
    assert [told[: len(fault)] for told in notes.faults] == ([fault] if fault else [])


def test_what_a_log_must_not_say_is_told_by_its_line_only(tmp_path: Path) -> None:
    log = tmp_path / "replays.log"
    assert not list(troubles_in(log, UNEXPECTED))
    log.write_text("a line\nTraceback (most recent call last):\nValueError: made-up@example.com\n")
    assert list(troubles_in(log, UNEXPECTED)) == ["replays.log:2 says 'Traceback'"]


def test_no_two_made_up_people_share_what_platforms_tell_people_by() -> None:
    step = MOST_PEOPLE // 50
    people = [person for start in range(0, MOST_PEOPLE, step) for person in make_people(200, start)]
    values = [value for person in people for key in ("email", "phone", "edgeTagId") if (value := person.user.get(key))]
    assert len(set(map(str, values))) == len(values)
    assert [person.user for person in make_people(3, 5)] == [person.user for person in make_people(8)][5:]


def test_nothing_of_the_process_reaches_a_run_but_where_data_may_be(tmp_path: Path) -> None:
    process = {
        "AUDIENCE_DATA": str(tmp_path),
        "AUDIENCE_RETRY_AGE": "1",
        "AUDIENCE_API_TOKENS": "made-up-token",
        "FACEBOOK_ACCESS_TOKEN": "made-up-real-looking",
        "KAFKA_BOOTSTRAP_SERVERS": "somewhere.example.com:9092",
    }
    found = chaos_environment(process)
    assert found.data == tmp_path / "chaos"
    assert not {*process, "FACEBOOK_BASE_URL"} - {"AUDIENCE_DATA"} & set(found.values)
    assert "made-up" not in str(found.values)


@pytest.mark.kafka
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_nothing_is_lost_whatever_goes_wrong(tmp_path: Path) -> None:
    """A short run of every kind of fault; `make chaos` is the long one, by other seeds."""
    command = [sys.executable, "-m", "checks.chaos", "--seed", "1", "--seconds", "16"]
    environ = {**os.environ, "AUDIENCE_DATA": str(tmp_path)}
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=290)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1] == "chaos: SEED=1 SECONDS=16: nothing lost, nothing invented, nobody behind"
