"""What the HTTP client decides without any I/O: addresses, requests, what answers mean, and when to try again."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from audience_client.errors import AudienceError, InputError
from audience_client.http import calls, statuses
from audience_client.http.address import DEFAULT_URL, address
from audience_client.http.batches import BatchToSend
from audience_client.http.errors import (
    AccessError,
    ContradictionError,
    NotKnownError,
    RefusedError,
    TooLargeError,
    UnexpectedAnswerError,
    UnreachableError,
)
from audience_client.http.exchange import Answer, NoAnswer, Reply
from audience_client.http.retry import Retry, WaitNotice
from audience_client.http.tries import Tries
from audience_client.http.waiting import LONGEST, UNKNOWN_FOR, Waiting
from ledger import resources

PAGE = (Path(__file__).parent.parent / "docs" / "status.md").read_text(encoding="utf-8")
BATCH_STATUS, REJECTED, SESSION, SESSIONS, _, ACCOUNTS = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
FOR_EVER = Retry(give_up_after=None)

BATCH = BatchToSend(
    name="VIP customers",
    session_id=2**53 - 1,
    sequence=2,
    total_batches=3,
    total_users=9,
    users=b'[{"email":"ada@example.com"}]',
)


class Clock:
    """A time that only goes on as it is told."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def refused(status: int, *errors: str, **headers: str) -> Answer:
    """Return a refusal as the server makes it."""
    body = msgspec.json.encode({"success": False, "errors": errors})
    return Answer(status=status, headers={"content-type": "application/json", **_headers(headers)}, body=body)


def _headers(named: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in named.items()}


def notice(reply: Reply, retry: Retry = FOR_EVER, chance: float = 0.0) -> WaitNotice:
    """Return what comes of a first try that has to be repeated."""
    after = Tries(retry, now=Clock(), chance=lambda: chance).after(reply)
    assert isinstance(after, WaitNotice)
    return after


def test_a_url_and_a_token_come_from_what_is_given_then_from_the_environment() -> None:
    environ = {"AUDIENCE_URL": "https://lists.example.com/api/", "AUDIENCE_TOKEN": "made-up\n"}
    assert address(None, None, {}).url == DEFAULT_URL
    assert address(None, None, environ).url == "https://lists.example.com/api"
    assert address(None, None, environ).token == "made-up"
    given_ones = address("http://[::1]:8080", "another", environ)
    assert (given_ones.url, given_ones.token) == ("http://[::1]:8080", "another")
    assert "another" not in repr(given_ones)


@pytest.mark.parametrize(
    "url", ["lists.example.com", "localhost:8080", "ftp://lists.example.com", "http://", "http://a b", "http://x:y"]
)
def test_what_is_no_url_is_refused_and_named(url: str) -> None:
    with pytest.raises(InputError, match=r"^AUDIENCE_URL: expected http:// or https://"):
        address(None, None, {"AUDIENCE_URL": url})


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("https://ada:made-up@lists.example.com", None),
        ("https://made-up@lists.example.com", None),
        ("https://lists.example.com?key=made-up", None),
        ("https://lists.example.com#made-up", None),
        (None, "made-up token"),
        (None, "made-up\r\nX-Other: 1"),
    ],
)
def test_credentials_in_a_url_and_tokens_of_several_words_are_refused_and_not_repeated(
    url: str | None, token: str | None
) -> None:
    with pytest.raises(InputError) as caught:
        address(url, token, {})
    assert "made-up" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_batch_is_the_form_that_the_page_describes() -> None:
    request = calls.send_batch(BATCH).request
    assert (request.method, request.path) == ("POST", "/audience")
    assert request.query == {"detail": "true", "mode": "add", "resume": "true"}
    assert request.parts == {
        "name": b"VIP customers",
        "type": b"custom",
        "batch": b'{"sessionId":9007199254740991,"sequence":2,"totalBatches":3,"totalUsers":9}',
        "users": BATCH.users,
    }


def test_what_a_batch_says_besides_goes_where_the_page_has_it() -> None:
    batch = replace(
        BATCH,
        type="primary",
        mode="remove",
        channels=("facebook", "tiktok/eu"),
        disable_prefix=True,
        pull_date=date(2026, 11, 24),
        resume=False,
    )
    request = calls.send_batch(batch).request
    assert request.query == {
        "detail": "true",
        "mode": "remove",
        "disablePrefix": "true",
        "channels": "facebook,tiktok/eu",
    }
    assert request.parts["type"] == b"primary"
    part = request.parts["batch"]
    assert isinstance(part, bytes)
    assert msgspec.json.decode(part)["pullDate"] == "2026-11-24"


def test_no_user_stands_in_what_is_shown_of_a_batch_and_its_request() -> None:
    assert "ada@example.com" not in repr(BATCH) + repr(calls.send_batch(BATCH))


@pytest.mark.parametrize("name", ["\udcff", "VIP \ud800"])
def test_what_is_no_text_is_refused_before_it_is_sent(name: str) -> None:
    with pytest.raises(InputError, match=r"^name: "):
        calls.send_batch(replace(BATCH, name=name))
    with pytest.raises(InputError, match=r"^channels: "):
        calls.send_batch(replace(BATCH, channels=(name,)))
    with pytest.raises(InputError, match=r"^session_id: "):
        calls.session(name)


def test_an_id_can_not_leave_its_place_in_a_path() -> None:
    assert calls.session("1/../../secret?x=1").request.path == "/audience/sessions/1%2F..%2F..%2Fsecret%3Fx%3D1"


def test_a_time_that_lists_are_asked_by_is_one_that_the_server_reads() -> None:
    request = calls.sessions_page(None, since=datetime(2026, 11, 24, 15, tzinfo=UTC), state="incomplete").request
    assert request.query == {"limit": "100", "since": "2026-11-24T15:00:00+00:00", "state": "incomplete"}


@pytest.mark.parametrize("status", [200, 400, 504])
def test_an_answer_with_a_batch_id_says_that_the_batch_is_in_the_log(status: int) -> None:
    headers = {"x-batch-id": "7c0f", "x-ignored-count": "0", "location": "/audience/batches/7c0f"}
    answer = Answer(status=status, headers=headers, body=b"<html>")
    assert Tries(FOR_EVER, now=Clock()).after(answer) is answer
    found = calls.send_batch(BATCH).read(answer)
    assert (found.batch_id, found.location, found.ignored, found.knows_resume) == ("7c0f", headers["location"], 0, True)


def test_what_the_server_ignored_is_told_and_whether_that_was_the_wish_to_resume() -> None:
    ignored = [
        {"in": "users", "name": "Email", "count": 2, "didYouMean": "email"},
        {"in": "query", "name": "resume", "count": 1},
    ]
    body = msgspec.json.encode({"success": True, "batchId": "7c0f", "ignored": ignored})
    found = calls.send_batch(BATCH).read(Answer(status=200, headers={"x-ignored-count": "3"}, body=body))
    assert (found.batch_id, found.ignored, found.knows_resume) == ("7c0f", 3, False)
    first = found.ignored_names[0]
    assert (first.location, first.name, first.count, first.did_you_mean) == ("users", "Email", 2, "email")


FINAL: Mapping[int, type[AudienceError]] = {
    400: RefusedError,
    401: AccessError,
    403: AccessError,
    404: RefusedError,
    405: RefusedError,
    407: AccessError,
    409: ContradictionError,
    413: TooLargeError,
    415: RefusedError,
    417: RefusedError,
    500: RefusedError,
    200: UnexpectedAnswerError,
    204: UnexpectedAnswerError,
    301: UnexpectedAnswerError,
    307: UnexpectedAnswerError,
}


@pytest.mark.parametrize(("status", "kind"), FINAL.items())
def test_a_refusal_is_final_and_says_what_to_do_next(status: int, kind: type[AudienceError]) -> None:
    answer = refused(status, "users: too many", "batch: none")
    assert Tries(FOR_EVER, now=Clock()).after(answer) is answer
    with pytest.raises(AudienceError) as caught:
        calls.send_batch(BATCH).read(answer)
    assert type(caught.value) is kind
    if isinstance(caught.value, RefusedError):
        assert (caught.value.status, caught.value.words) == (status, "users: too many; batch: none")


@pytest.mark.parametrize("status", [409, 500])
def test_a_batch_id_in_a_refusal_is_of_a_batch_that_stands_and_not_of_this_one(status: int) -> None:
    with pytest.raises(RefusedError) as caught:
        calls.send_batch(BATCH).read(refused(status, "batch.sequence: another", x_batch_id="7c0f"))
    assert caught.value.batch_id == "7c0f"


def test_plain_text_is_the_server_s_word_and_a_page_is_not_repeated() -> None:
    text = b"No users in the segment.\nSegment cannot be created."
    plain = Answer(status=400, headers={"content-type": "text/plain; charset=utf-8"}, body=text)
    with pytest.raises(RefusedError, match=r"with 400: No users in the segment\. Segment cannot be created\.$"):
        calls.send_batch(BATCH).read(plain)
    page = Answer(status=413, headers={"content-type": "text/html"}, body=b"<html>ada@example.com</html>")
    with pytest.raises(TooLargeError, match=r"413 .*, without a reason that can be shown$"):
        calls.send_batch(BATCH).read(page)


def test_an_unknown_id_is_told_from_a_page_that_is_not_the_server_s() -> None:
    with pytest.raises(NotKnownError, match="nothing is known of that id"):
        calls.session(5).read(refused(404, "path: nothing is known of that id, which may have left the log"))
    with pytest.raises(UnexpectedAnswerError) as caught:
        calls.session(5).read(Answer(status=404, headers={"content-type": "text/plain"}, body=b"404 page not found"))
    assert "404, is of something else: there is no Audience API at this URL; check the URL" in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"sessionId":"1","runs":"ada@example.com"}', b"\xff"])
def test_an_answer_that_is_no_status_is_an_error_without_its_text(body: bytes) -> None:
    with pytest.raises(UnexpectedAnswerError) as caught:
        calls.session(5).read(Answer(status=200, body=body))
    assert "ada@example.com" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (NoAnswer(words="nothing listens there"), "unreachable"),
        (refused(503, "batches: no room"), "no_room"),
        (refused(429), "no_room"),
        (refused(408, "body: too slow"), "too_slow"),
        (refused(502), "proxy"),
        (refused(504), "proxy"),
        (refused(521), "proxy"),
    ],
)
def test_what_may_pass_is_tried_again_and_told(reply: Reply, why: str) -> None:
    told = notice(reply)
    assert (told.why, told.attempt, told.waited) == (why, 1, 0)
    assert told.words
    assert told.seconds > 0


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"retry_after": "5"}, 5),
        ({"retry_after": "Tue, 24 Nov 2026 15:00:30 GMT", "date": "Tue, 24 Nov 2026 15:00:00 GMT"}, 30),
        ({"retry_after": "Tue, 24 Nov 2026 15:00:30 GMT"}, 0.25),
        ({"retry_after": "999999999999999999999"}, 60),
        ({"retry_after": "-5"}, 0.25),
        ({"retry_after": "soon"}, 0.25),
        ({"retry_after": "²"}, 0.25),
        ({}, 0.25),
    ],
)
def test_a_server_says_when_to_come_again_within_bounds(headers: Mapping[str, str], least: float) -> None:
    assert notice(refused(503, "no room", **headers)).seconds == least


@given(
    waits=some.lists(some.none() | some.integers(0, 10**6), min_size=1, max_size=60),
    chance=some.floats(0, 1, exclude_max=True),
    longest=some.floats(0.1, 600),
)
def test_pauses_grow_to_a_bound_and_are_not_shorter_than_was_asked(
    waits: list[int | None], chance: float, longest: float
) -> None:
    tries = Tries(Retry(give_up_after=None, longest_pause=longest), now=Clock(), chance=lambda: chance)
    for number, wait in enumerate(waits, 1):
        told = tries.after(refused(503, "no room", **({} if wait is None else {"retry_after": str(wait)})))
        assert isinstance(told, WaitNotice)
        assert told.attempt == number
        assert min(longest, wait or 0.0, 0.25) <= told.seconds <= longest
        assert told.seconds >= min(longest, wait or 0.0)


def test_trying_for_ever_is_possible() -> None:
    tries = Tries(FOR_EVER, now=Clock(), chance=lambda: 0.5)
    for _ in range(5_000):
        assert isinstance(tries.after(NoAnswer(words="away")), WaitNotice)


@pytest.mark.parametrize(("give_up_after", "within"), [(10.0, None), (None, 10.0), (99.0, 10.0), (10.0, 99.0)])
def test_it_gives_up_before_it_would_wait_beyond_the_time_given(
    give_up_after: float | None, within: float | None
) -> None:
    clock = Clock()
    tries = Tries(Retry(give_up_after=give_up_after), within=within, now=clock, chance=lambda: 0.0)

    def try_on() -> None:
        while True:
            told = tries.after(refused(503, "removals: somebody does not know them yet"))
            assert isinstance(told, WaitNotice)
            clock.time += told.seconds

    with pytest.raises(UnreachableError) as caught:
        try_on()
    assert (caught.value.why, caught.value.words) == ("no_room", "removals: somebody does not know them yet")
    assert 5 < caught.value.waited <= 10


def test_what_no_other_try_would_mend_is_given_up_at_once() -> None:
    with pytest.raises(UnreachableError, match="certificate"):
        notice(NoAnswer(words="its certificate is not valid", is_final=True))


def session_status(state: str, *audiences: tuple[str, str]) -> statuses.SessionStatus:
    """Return a session with a run of each audience and mode."""
    told = msgspec.json.decode(SESSION, type=statuses.SessionStatus)
    runs = [
        msgspec.structs.replace(told.runs[0], state=state, name=name, mode=mode)
        for name, mode in audiences or [("VIP", "add")]
    ]
    return msgspec.structs.replace(told, runs=runs)


def test_one_audience_of_a_session_is_singled_out_also_where_the_server_tells_all() -> None:
    status = session_status("delivered", ("Other", "add"), ("VIP", "remove"), ("VIP", "add"))
    answer = Answer(status=200, body=msgspec.json.encode(status))
    call = calls.session(1, name="VIP\n", type="custom", mode="add")
    assert call.request.query == {"name": "VIP", "type": "custom", "mode": "add"}
    assert [(run.name, run.mode) for run in call.read(answer).runs] == [("VIP", "add")]
    with pytest.raises(NotKnownError):
        calls.session(1, name="Nobody's").read(answer)


def test_a_session_is_asked_about_until_it_is_over_ever_more_seldom() -> None:
    clock, seen = Clock(), list[str]()
    waiting = Waiting(None, lambda status: seen.append(status.runs[0].state), now=clock)
    pauses = []
    for _ in range(100):
        pause = waiting.after(session_status("in_progress"))
        assert isinstance(pause, float)
        pauses.append(pause)
        clock.time += pause
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.2, LONGEST)
    over = session_status("partial")
    assert waiting.after(over) is over
    assert seen == ["in_progress"] * 100 + ["partial"]


@pytest.mark.parametrize("state", ["in_progress", "incomplete", "blocked", "a word of a newer server"])
def test_waiting_ends_with_its_time_and_says_what_it_saw_last(state: str) -> None:
    clock = Clock()
    waiting = Waiting(3.0, None, now=clock)
    asked = session_status(state)
    while isinstance(pause := waiting.after(asked), float):
        clock.time += pause
    assert pause is asked
    assert not pause.is_over
    assert clock.time == pytest.approx(3.0)


def test_a_session_that_another_server_took_may_be_unknown_for_a_moment() -> None:
    clock, unknown = Clock(), NotKnownError(404, "nothing is known")
    waiting = Waiting(None, None, now=clock)
    assert isinstance(waiting.after(unknown), float)
    clock.time = UNKNOWN_FOR
    with pytest.raises(NotKnownError):
        waiting.after(unknown)


KINDS = [
    (statuses.UserCounts, resources.UserCounts),
    (statuses.ErrorDetail, resources.ErrorDetail),
    (statuses.ReplayReference, resources.ReplayStatus),
    (statuses.TargetStatus, resources.TargetStatus),
    (statuses.BatchStatus, resources.BatchStatus),
    (statuses.BatchOfRun, resources.BatchOfRun),
    (statuses.RunStatus, resources.RunStatus),
    (statuses.SessionStatus, resources.SessionStatus),
    (statuses.SessionSummary, resources.SessionSummary),
    (statuses.SessionPage, resources.SessionPage),
    (statuses.Rejection, resources.UserRejection),
    (statuses.RejectedPage, resources.SessionRejectedPage),
    (statuses.AccountLoss, resources.LossReport),
    (statuses.AccountStatus, resources.AccountStatus),
    (statuses.OpenTransaction, resources.TransactionStatus),
    (statuses.AccountPage, resources.AccountPage),
]


@pytest.mark.parametrize(("ours", "server_s"), KINDS, ids=lambda kind: kind.__name__)
def test_the_client_has_each_member_that_the_server_tells(
    ours: type[msgspec.Struct], server_s: type[msgspec.Struct]
) -> None:
    assert set(server_s.__struct_encode_fields__) <= set(ours.__struct_encode_fields__)


def test_the_states_in_which_nothing_more_comes_are_those_of_the_server() -> None:
    assert statuses.TERMINAL == resources.TERMINAL


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (BATCH_STATUS, statuses.BatchStatus),
        (REJECTED, statuses.RejectedPage),
        (SESSION, statuses.SessionStatus),
        (SESSIONS, statuses.SessionPage),
        (ACCOUNTS, statuses.AccountPage),
    ],
)
def test_the_examples_of_the_page_are_read_also_with_members_of_a_newer_server(
    text: str, kind: type[msgspec.Struct]
) -> None:
    told = msgspec.json.decode(text, type=kind)
    newer = msgspec.json.encode({**msgspec.json.decode(text), "newMember": {"a": [1]}})
    assert msgspec.json.decode(newer, type=kind) == told
