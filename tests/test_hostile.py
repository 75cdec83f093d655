"""The check of hostile requests: what it sends, how it judges, and that the server stands it."""

import os
import random
from pathlib import Path

import pytest

from checks.clients import captures
from checks.hostile.draft import MARK, PEOPLE, joined, make_parts
from checks.hostile.forms import PARTS_MUTATIONS
from checks.hostile.heads import MUTATIONS
from checks.hostile.mutations import make_request
from checks.hostile.run import FLAT, Place, Report, run
from checks.hostile.verdict import NO_USERS, faults_of, faults_of_log
from checks.wire import Reply
from streams.client.settings import KafkaSettings

CAPTURES = captures()
SEED = int(os.environ.get("SEED", "20261128"))
REQUESTS = 5_000


def reply(status: int, body: str, kind: str = "application/json", header: str = "") -> Reply:
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\n{header}\r\n\r\n"
    return Reply(status, {"content-type": kind}, head.encode(), body.encode())


def sent_to(where: str) -> Reply:
    return Reply(303, {"location": where}, f"HTTP/1.1 303 x\r\nLocation: {where}\r\n\r\n".encode(), b"")


def test_a_request_is_its_seed_s_and_its_number_s() -> None:
    for number in range(50):
        assert make_request(1, number, CAPTURES) == make_request(1, number, CAPTURES)
    assert make_request(1, 1, CAPTURES).written() != make_request(2, 1, CAPTURES).written()


def test_every_kind_comes_and_right_requests_among_them() -> None:
    drafts = [make_request(SEED, number, CAPTURES) for number in range(2_000)]
    kinds = {mutation.__name__.strip("_") for mutation in (*MUTATIONS, *PARTS_MUTATIONS)}
    assert {kind for draft in drafts for kind in draft.kinds} == kinds
    assert 100 < sum(not draft.kinds for draft in drafts) < 400
    assert all(draft.written() for draft in drafts)


def test_whatever_is_made_up_is_marked() -> None:
    parts = make_parts(random.Random(1))
    assert joined(parts).count(MARK.encode()) >= 3


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (reply(200, '{"success": true}'), None),
        (reply(503, '{"success": false, "errors": ["busy"]}'), None),
        (reply(400, '{"success": false, "errors": ["name: send it"]}'), None),
        (reply(400, "Malformed request body, must be form data (x)", "text/plain; charset=utf-8"), None),
        (reply(400, NO_USERS, "text/plain"), None),
        (reply(500, '{"success": false, "errors": ["bug"]}'), "none of our answers"),
        (reply(302, ""), "none of our answers"),
        (sent_to("/sign-in?next=/"), None),
        (sent_to("/sign-in.example.com"), "none of our answers"),
        (sent_to("//example.com/sign-in"), "none of our answers"),
        (reply(400, "Bad Request", "text/plain"), "not in our form"),
        (reply(413, "Malformed request body, must be form data (x)", "text/plain"), "not in our form"),
        (reply(400, '{"success": false, "errors": []}'), "not in our form"),
        (reply(400, '{"errors": ["x"]}'), "not in our form"),
        (reply(404, "<html>", "text/html"), "not in our form"),
        (reply(400, f'{{"success": false, "errors": ["{MARK}7"]}}'), "repeats what was sent"),
        (reply(200, '{"success": true}', header=f"X-Name: {PEOPLE[0].upper()}"), "repeats what was sent"),
    ],
)
def test_an_answer_is_judged_by_its_status_its_form_and_what_it_repeats(found: Reply, fault: str | None) -> None:
    faults = list(faults_of(found))
    assert len(faults) == (fault is not None)
    assert all(fault in told and MARK not in told for told in faults if fault)


def test_a_log_is_judged_by_line_and_without_its_text() -> None:
    accepted = f'{{"event": "Upload accepted.", "audience": "{MARK}5"}}'
    log = f'{accepted}\n{{"event": "{MARK}5"}}\nTraceback (most recent call last):\n'
    assert list(faults_of_log(log.encode())) == [
        ("the log has what was sent", "line 2"),
        ("the log says 'Traceback'", "line 3"),
    ]


def test_memory_is_flat_where_its_end_is_like_its_beginning() -> None:
    assert Report(memory=[50, 100, 101, 100, 99, 100, 102, 101]).growth < FLAT
    assert Report(memory=[50, 100, 101, 120, 140, 160, 180, 200]).growth > FLAT
    assert Report(memory=[50]).growth == 1


@pytest.mark.timeout(400)
async def test_hostile_requests_are_refused_in_order_and_the_server_still_works(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    place = Place(kafka=kafka, prefix=topic_prefix, folder=tmp_path)
    report = await run(place, SEED, REQUESTS, 300, lambda _: None)
    assert report.sent == REQUESTS
    assert not report.faults, f"SEED={SEED}: {[(fault, n, report.first[fault]) for fault, n in report.faults.items()]}"
    assert report.answers["200"] > REQUESTS / 50
