"""`audience status`: what the server says of sessions, batches and accounts, as people and programs read it."""

import asyncio
import io
import json
import re
import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from test_cli import audience
from test_ledger import get, known, ledger, node, receipts, send, until_ready
from test_pipeline import minimal_record, publish, single_object
from world import World, make_batch, make_users, sandbox_running, world

from cli.printing.tables import print_rows
from cli.status.printing import (
    BATCH_COLUMNS,
    REMOVAL_COLUMNS,
    SESSION_COLUMNS,
    TARGET_COLUMNS,
    Block,
    Rows,
    account_list_blocks,
    batch_blocks,
    session_blocks,
    session_list_blocks,
    span_text,
    spans,
)
from ledger.resources import (
    AccountPage,
    BatchOfRun,
    BatchStatus,
    ErrorDetail,
    ReplayStatus,
    RunStatus,
    SessionPage,
    SessionStatus,
    SessionSummary,
    TargetStatus,
    UserCounts,
)
from ledger.session_runs import Mark
from producer.server import serving
from producer.settings import ServerSettings
from schemas.avro.framing import Framing
from schemas.error_words import VOCABULARY
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.processes.ports import free_port

NOW = datetime(2030, 1, 31, tzinfo=UTC)
BLOCKED = ErrorDetail(
    code="token_invalid",
    meaning=VOCABULARY["token_invalid"].meaning,
    remedy=VOCABULARY["token_invalid"].remedy,
    platform_code="190/463",
    request_id="request-1",
)


def make_target(provider: str = "facebook", **changes: object) -> TargetStatus:
    """Return an account that took two of three users."""
    target = TargetStatus(
        provider=provider,
        account=None,
        state="partial",
        users=UserCounts(in_log=3, sent=2, accepted=2, rejected=1, matched=None),
        reasons={"email: not_an_email": 1},
        repaired={},
        dropped={},
        attempts=1,
        error=None,
        finished_at=NOW,
        seconds_to_go=None,
        replays=[],
    )
    return msgspec.structs.replace(target, **changes)


def make_run(*marks: Mark | None, **changes: object) -> RunStatus:
    """Return a run with a batch for each mark."""
    run = RunStatus(
        name="VIP",
        type="custom",
        state="incomplete",
        started_at=NOW,
        last_at=NOW + timedelta(minutes=1),
        total_batches=5,
        total_users=10,
        users=6,
        missing=[4, 5],
        are_totals_right=True,
        batches=[
            BatchOfRun(batch_id=f"batch-{number}", sequence=number, users=2, at=NOW, mark=mark, state="delivered")
            for number, mark in enumerate(marks, start=1)
        ],
        targets=[make_target()],
    )
    return msgspec.structs.replace(run, **changes)


def printed(blocks: Iterable[Block]) -> list[str]:
    """Return blocks as they are printed where no terminal is."""
    output = io.StringIO()
    for block in blocks:
        if isinstance(block, Rows):
            print_rows(block.columns, block.rows, Console(file=output))
        else:
            output.write(block + "\n")
    return output.getvalue().splitlines()


def columns_of(line: str) -> list[str]:
    """Return the cells of a plain row."""
    return re.split(r" {2,}", line.strip())


def listen_at(url: str) -> dict[str, str]:
    """Return what the command needs to find a server."""
    return {"AUDIENCE_LISTEN": url.removeprefix("http://")}


def test_what_is_odd_about_a_run_is_named_with_its_batches() -> None:
    run = make_run(None, "repeated", "contradictory", "late", are_totals_right=False)
    lines = printed(session_blocks(SessionStatus(session_id="7", runs=[run, make_run(None)])))
    assert lines[0] == "Session 7: VIP (custom)"
    facts = dict(columns_of(line) for line in lines[1:11] if len(columns_of(line)) == 2)
    assert facts | {"contradicts": "", "totals": ""} == {
        "state": "incomplete",
        "began": "2030-01-31 00:00:00Z",
        "last batch": "2030-01-31 00:01:00Z",
        "batches": "4 of 5",
        "missing": "4-5",
        "users": "6 of 10",
        "totals": "",
        "repeated": "2 (batch-2)",
        "contradicts": "",
        "late": "4 (batch-4)",
    }
    assert "  contradicts 3 (batch-3)" in lines
    assert any(line.startswith("  totals      wrong: ") for line in lines)
    second = lines[lines.index("") + 1 :]
    assert second[0] == lines[0]
    assert not [line for line in second if line.split()[0] in ("totals", "repeated", "contradicts", "late")]


def test_an_account_shows_its_ladder_its_replays_why_users_were_rejected_and_what_to_do() -> None:
    replay = ReplayStatus(
        replay_id="r1", state="delivered", users=UserCounts(in_log=3, sent=3, accepted=3, rejected=0, matched=2)
    )
    blocked = make_target("tiktok", account="eu", state="blocked", error=BLOCKED, seconds_to_go=30.0, reasons={})
    run = make_run(None, targets=[make_target(replays=[replay]), blocked])
    lines = printed(session_blocks(SessionStatus(session_id="7", runs=[run])))
    start = next(number for number, line in enumerate(lines) if columns_of(line) == list(TARGET_COLUMNS))
    assert [columns_of(line) for line in lines[start + 1 : start + 4]] == [
        ["facebook", "partial", "3", "2", "2", "-", "1", "-", "1"],
        ["facebook, replay r1", "delivered", "3", "3", "3", "2", "0", "-", "-"],
        ["tiktok/eu", "blocked", "3", "2", "2", "-", "1", "30 s", "1"],
    ]
    assert lines[start + 4 :] == [
        "facebook: rejected email: not_an_email: 1",
        f"tiktok/eu: token_invalid (190/463, request request-1): {BLOCKED.meaning} {BLOCKED.remedy}",
    ]


def test_a_batch_of_which_parts_are_not_in_the_log_or_that_breaks_a_rule_says_so() -> None:
    batch = BatchStatus(
        batch_id="batch-1",
        name="VIP",
        type="custom",
        session_id=None,
        sequence=None,
        total_batches=None,
        total_users=None,
        users=2,
        parts=3,
        parts_in_log=2,
        accepted_at=NOW,
        source="http",
        verdict="invalid",
        reason="name: too long",
        state="failed",
        targets=[],
    )
    lines = [columns_of(line) for line in printed(batch_blocks(batch))]
    assert ["verdict", "invalid: name: too long"] in lines
    assert ["in the log", "2 of 3 parts"] in lines
    assert not {"session", "sequence"} & {line[0] for line in lines}


def test_sessions_are_listed_a_line_each_with_what_is_missing_and_where_each_account_is() -> None:
    summary = SessionSummary(
        session_id="7",
        name="VIP",
        type="primary",
        state="incomplete",
        runs=1,
        started_at=NOW,
        last_at=NOW,
        total_batches=9,
        total_users=90,
        users=40,
        missing=[1, 3, 4, 5],
        targets={"facebook": "delivered", "tiktok/eu": "waiting"},
    )
    bare = msgspec.structs.replace(summary, session_id="8", total_users=None, missing=[], targets={})
    lines = [
        columns_of(line) for line in printed(session_list_blocks(SessionPage(sessions=[summary, bare], next=None)))
    ]
    assert lines == [
        list(SESSION_COLUMNS),
        ["7", "VIP", "primary", "incomplete", "40 of 90", "1, 3-5", "facebook delivered, tiktok/eu waiting"],
        ["8", "VIP", "primary", "incomplete", "40", "-", "-"],
    ]
    assert printed(session_list_blocks(SessionPage(sessions=[], next=None))) == []


def test_accounts_show_what_they_wait_for_who_serves_them_and_what_they_lost() -> None:
    error = {"code": "token_invalid", "meaning": "M.", "remedy": "R.", "platformCode": None, "requestId": None}
    lost = {"partition": 3, "firstOffset": 10, "endOffset": 15, "records": 5, "at": "2030-01-31T00:00:00Z"}
    calm: dict[str, Any] = {"provider": "klaviyo", "account": "eu", "state": "running", "since": None, "until": None}
    calm |= {"behind": None, "hasConsumer": None, "error": None, "lost": []}
    ill = {**calm, "provider": "facebook", "account": None, "state": "blocked", "since": "2030-01-31T00:00:00Z"}
    ill |= {"behind": 7, "hasConsumer": False, "error": error, "lost": [lost]}
    page = msgspec.convert({"accounts": [ill, calm]}, AccountPage)
    lines = printed(account_list_blocks(page))
    assert [columns_of(line) for line in lines[1:3]] == [
        ["facebook", "blocked", "2030-01-31 00:00:00Z", "-", "7", "none", "token_invalid", "5"],
        ["klaviyo/eu", "running", "-", "-", "-", "-", "-", "-"],
    ]
    assert lines[3:] == [
        "facebook: token_invalid: M. R.",
        "facebook: 5 records of partition 3 from offset 10 to 15 left the log before they were read at "
        "2030-01-31 00:00:00Z.",
    ]


def test_many_missing_batches_are_told_as_spans_and_a_count() -> None:
    assert spans([]) == ""
    assert spans([0]) == "0"
    assert spans(range(1, 1000)) == "1-999"
    assert spans([1, 2, 4, 7, 8, 9]) == "1-2, 4, 7-9"
    assert spans(range(1, 101, 2)) == "1, 3, 5, 7, 9, 11 and 44 more"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (90, "90 s"), (150, "2 min"), (3700, "62 min"), (9000, "2 h")]
)
def test_a_time_to_go_is_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert span_text(seconds) == text


async def test_a_session_of_the_running_server_is_shown_to_people_and_as_the_server_s_json_to_programs(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook", "klaviyo"]) as found:
        at, three = listen_at(found.url), {"totalBatches": 3, "totalUsers": 7, "sessionId": 5.0}
        users = [*make_users(2), {"email": "nobody"}]
        _, body, _ = await found.upload(users, "?sync=true&detail=true", batch=make_batch(**three))
        assert (await found.upload(make_users(2, 4), "?sync=true", batch=make_batch(**three, sequence=3)))[0] == 200

        code, output, errors = await audience(tmp_path, "status", "5.0", **at)
        assert (code, errors) == (0, "")
        lines = [columns_of(line) for line in output.splitlines()]
        assert lines[0] == ["Session 5: VIP (custom)"]
        assert (["missing", "2"] in lines, ["users", "5 of 7"] in lines) == (True, True)
        assert ["facebook", "partial", "5", "4", "4", "-", "1", "-", "1"] in lines
        assert ["facebook: rejected email: not_an_email: 1"] in lines

        code, output, _ = await audience(tmp_path, "status", "5", "--json", **at)
        assert json.loads(output) == (await get(found, "/audience/sessions/5"))[1]

        code, output, _ = await audience(tmp_path, "status", "--batch", body["batchId"], **at)
        assert output.splitlines()[0] == f"Batch {body['batchId']}: VIP (custom)"
        assert ["sequence", "1 of 3"] in [columns_of(line) for line in output.splitlines()]
        code, output, _ = await audience(tmp_path, "status", "--batch", body["batchId"], "--json", **at)
        assert json.loads(output) == (await get(found, f"/audience/batches/{body['batchId']}"))[1]


async def test_the_newest_sessions_are_listed_and_filtered(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        at = listen_at(found.url)
        code, output, errors = await audience(tmp_path, "status", **at)
        assert (code, errors) == (0, "There are no sessions.\n")
        for number, name in enumerate(("VIP", "Others", "VIP")):
            assert (await send(found, make_users(2), name=name, sessionId=number, sequence=1))[0] == 200
        code, output, errors = await audience(tmp_path, "status", "--name", "VIP", "--since", "1h", **at)
        rows = [columns_of(line) for line in output.splitlines()[:3]]
        assert (code, errors) == (0, "")
        assert rows[0] == list(SESSION_COLUMNS)
        assert rows[1] == ["2", "VIP", "custom", "in_progress", "2 of 2", "-", "facebook waiting"]
        assert rows[2][0] == "0"
        code, output, errors = await audience(tmp_path, "status", "--limit", "1", **at)
        assert "2" in columns_of(output.splitlines()[1])
        assert errors.startswith("There are more sessions")
        code, output, _ = await audience(tmp_path, "status", "--json", "--limit", "2", **at)
        page = (await get(found, "/audience/sessions?limit=2"))[1]
        assert json.loads(output) | page == json.loads(output)
        code, output, errors = await audience(tmp_path, "status", "--state", "failed", **at)
        assert (code, errors) == (0, "No session is meant by these filters.\n")


async def test_the_command_waits_until_all_is_over_and_says_what_blocks_an_account(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        at = listen_at(found.url)
        await found.inject(provider="facebook", fault="auth", untilCleared=True)
        assert (await found.upload(make_users(2), "?sync=true", batch=make_batch(sessionId=9)))[0] == 400
        _, output, _ = await audience(tmp_path, "status", "9", **at)
        word = VOCABULARY["token_invalid"]
        (line,) = [line for line in output.splitlines() if line.startswith("facebook: token_invalid (")]
        assert line.endswith(f"{word.meaning} {word.remedy}")
        await found.clear_faults()
        code, output, errors = await audience(tmp_path, "status", "9", "--wait", "30", **at)
        assert (code, errors) == (0, "")
        assert ["state", "delivered"] in [columns_of(line) for line in output.splitlines()]


async def test_names_that_anybody_publishes_cannot_steer_a_terminal(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    record: dict[str, object] = {**minimal_record(1), "name": "\x1b[31mred", "sessionId": "\x07"}
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        await publish_and_wait(found, record)
        code, output, _ = await audience(tmp_path, "status", **listen_at(found.url))
        assert code == 0
        assert "\N{REPLACEMENT CHARACTER}[31mred" in output
        assert not re.search("[\x07\x1b]", output)


async def test_the_command_says_that_a_batch_reaches_nobody_and_why(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    record: dict[str, object] = {**minimal_record(1), "channels": [], "sessionId": "7"}
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        await publish_and_wait(found, record)
        code, output, _ = await audience(
            tmp_path, "status", "--batch", str(record["batchId"]), "--wait", "60", **listen_at(found.url)
        )
        assert code == 0
        assert [columns_of(line) for line in output.splitlines()][1:3] == [
            ["state", "nobody"],
            ["accounts", "none: its channels name no account that is configured here"],
        ]
        code, output, _ = await audience(tmp_path, "status", "--state", "nobody", **listen_at(found.url))
        assert (code, "nobody" in output) == (0, True)


async def test_batches_without_a_session_and_invalid_ones_are_listed_and_filtered(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    first, second = minimal_record(1), minimal_record(2, 3)
    invalid: dict[str, object] = {**minimal_record(), "sessionId": "7", "sequence": 1}
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        assert await get(found, "/audience/batches") == (200, {"batches": [], "next": None})
        for record in (first, second, invalid):
            await publish_and_wait(found, record)
        assert (await found.upload(make_users(2), batch=make_batch(sessionId=8)))[0] == 200
        _, page = await get(found, "/audience/batches?limit=2")
        assert [one["batchId"] for one in page["batches"]] == [invalid["batchId"], second["batchId"]]
        newest, before = page["batches"]
        assert (newest["state"], newest["verdict"], newest["targets"]) == ("failed", "invalid", {})
        assert (before["state"], before["users"], before["targets"]) == ("in_progress", 2, {"facebook": "waiting"})
        _, page = await get(found, f"/audience/batches?limit=2&cursor={page['next']}")
        assert ([one["batchId"] for one in page["batches"]], page["next"]) == ([first["batchId"]], None)
        _, page = await get(found, "/audience/batches?state=failed")
        assert [one["batchId"] for one in page["batches"]] == [invalid["batchId"]]
        assert (await get(found, "/audience/batches?name=Others"))[1]["batches"] == []
        assert (await get(found, "/audience/batches?state=lost"))[0] == 400
        assert (await get(found, "/audience/batches?cursor=x"))[0] == 400

        code, output, errors = await audience(tmp_path, "status", "--limit", "2", **listen_at(found.url))
        rows = [columns_of(line) for line in output.splitlines()]
        assert (code, rows[0], rows[3]) == (0, list(SESSION_COLUMNS), list(BATCH_COLUMNS))
        assert rows[4][:5] == [invalid["batchId"], "VIP", "custom", "failed, invalid", "0"]
        assert errors.startswith("There are more batches without a session")
        _, output, _ = await audience(tmp_path, "status", "--json", "--limit", "2", **listen_at(found.url))
        told = json.loads(output)
        assert [len(told["sessions"]), len(told["batches"]), told["next"]] == [1, 2, None]
        assert told["nextBatches"]


async def publish_and_wait(found: World, record: dict[str, object]) -> None:
    """Publish a record to the topic and return once the server knows its batch."""
    async with ledger(found):
        await asyncio.to_thread(publish, found, single_object(record))
        await known(found, str(record["batchId"]), found.url)


async def test_where_no_server_answers_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    code, output, errors = await audience(tmp_path, "status", AUDIENCE_LISTEN=f"127.0.0.1:{free_port()}")
    assert (code, output, len(errors.splitlines())) == (1, "", 1)
    assert "start one with `audience up` or `audience serve`" in errors
    async with sandbox_running() as url:
        code, _, errors = await audience(tmp_path, "status", **listen_at(url))
        assert (code, len(errors.splitlines()), "is no server" in errors) == (1, 1, True)


async def test_what_the_server_refuses_is_told_in_a_sentence(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    settings = {"AUDIENCE_API_TOKENS": "made-up-token,other"}
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=(), settings=settings) as found:
        at, nobody = listen_at(found.url), str(uuid.UUID(int=7))
        for words, sentence, tokens in (
            ((), "wants a token that it knows", ""),
            ((), "wants a token that it knows", "wrong-token,made-up-token"),
            (("12345",), "nothing is known of that id", "made-up-token"),
            (("a/b?c",), "nothing is known of that id", "made-up-token"),
            (("--batch", nobody), "nothing is known of that id", "other"),
            (("--since", "yesterday"), "since: write a time such as", "other"),
            (("1", "--wait", "301"), "wait: send a number from 0 to 300", "other"),
            (("1", "--state", "failed"), "leave them out", "other"),
            (("--wait", "5"), "name it", "other"),
        ):
            code, output, errors = await audience(tmp_path, "status", *words, **at, AUDIENCE_API_TOKENS=tokens)
            assert (code, output, len(errors.splitlines())) == (1, "", 1)
            assert errors.startswith("audience status: ")
            assert sentence in errors
            assert "-token" not in errors


async def test_while_a_server_builds_its_view_the_command_says_how_far_it_is(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    view = tmp_path / "b.sqlite"
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found, ledger(found):
        async with node(found, view, "facebook"):
            pass
        assert (await send(found, make_users(2), sessionId=7))[0] == 200
        await receipts(found, 1)
        with closing(sqlite3.connect(view, isolation_level=None)) as locked:
            locked.execute("BEGIN IMMEDIATE")  # nothing can be folded meanwhile
            chosen = ServerSettings.model_validate({"AUDIENCE_LISTEN": "127.0.0.1:0"})
            targets = [Target("facebook")]
            async with serving(chosen, kafka, targets, found.names, Framing(), view) as server:
                at = {"AUDIENCE_LISTEN": str(server.address)}
                answer = await audience(tmp_path, "status", "7", **at)
                assert answer == (1, "", "audience status: the view is being built, 0% is done; come again\n")
                locked.execute("ROLLBACK")
                await until_ready(found, f"http://{server.address}")
                code, output, _ = await audience(tmp_path, "status", "7", **at)
                assert (code, output.splitlines()[0]) == (0, "Session 7: VIP (custom)")


def test_a_removal_tells_who_was_removed_what_it_waits_for_and_whom_a_later_record_decides_about() -> None:
    counts = UserCounts(
        in_log=9, sent=9, accepted=9, rejected=0, matched=None, removed=4, superseded=2, other_identifiers_unknown=1
    )
    silent = msgspec.structs.replace(counts, removed=None, superseded=0, other_identifiers_unknown=0)
    target = make_target(state="delivered", users=counts, reasons={})
    other = msgspec.structs.replace(
        target, provider="tiktok", state="retrying", users=silent, waits_for="audience.batches-3@17"
    )
    run = RunStatus(
        name="VIP",
        type="custom",
        mode="remove",
        state="in_progress",
        started_at=NOW,
        last_at=NOW,
        total_batches=1,
        total_users=9,
        users=9,
        missing=[],
        are_totals_right=True,
        batches=[],
        targets=[target, other],
    )
    lines = printed(session_blocks(SessionStatus(session_id="7", runs=[run])))
    assert lines[0] == "Session 7: removal from VIP (custom)"
    rows = [columns_of(line) for line in lines]
    assert list(REMOVAL_COLUMNS) in rows
    assert ["facebook", "delivered", "9", "9", "9", "4", "0", "-", "1"] in rows
    assert ["tiktok", "retrying", "9", "9", "9", "-", "0", "-", "1"] in rows
    assert "facebook: 2 left as they are, as a later record decides about them" in lines
    assert "tiktok: waits for the removal at audience.batches-3@17" in lines
    assert any(line.startswith("facebook: of 1 only what the removal names was taken out") for line in lines)
