"""The console over HTTP: who is let in, that its figures are the API's, and that nothing of it is kept or framed."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from console_world import Reports, console_world, whole
from markupsafe import escape
from pydantic import SecretStr
from test_view import START, receipt, view
from world import World, make_batch, make_form, make_users
from yarl import URL

from console.attention import MOST_ALIKE
from console.batch_grid import batch_grid
from console.cookies import LASTS, NAME, is_signed_by, signed
from console.formats import percent, span
from console.readings import ARRIVING, FOLLOWED, LATELY, Readings
from console.rendering import POLICY
from console.sign_in import MOST_FAILED, WITHIN, FailedSignIns
from console.throughput import STEPS, throughput
from ledger.queries import Queries
from ledger.resources import BatchOfRun, RunStatus
from ledger.session_runs import WINDOW
from ledger.states.folding import StateFolder, StateRules
from ledger.view import View
from producer.settings import ServerSettings
from schemas.target import Target
from streams.client.settings import KafkaSettings

__all__ = ["view"]

FACEBOOK = Target("facebook")
NOW = datetime(2030, 1, 31, tzinfo=UTC)
TOKENS = {"AUDIENCE_API_TOKENS": "made-up,second", "AUDIENCE_READ_TOKENS": "only-look"}
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
TITLES = {
    "incomplete": "Batches of ([^<]*) are missing",
    "failed": "A part of ([^<]*) failed",
    "nobody": "Nobody takes ([^<]*)",
}
PAGES = ("/", "/sessions", "/sessions/autumn-26", "/accounts", "/audiences", "/dead-letters", "/decisions", "/upload")


@pytest.fixture(scope="module")
async def open_world(kafka: KafkaSettings) -> AsyncIterator[World]:
    """A server without tokens, of which everything is told."""
    async with console_world(kafka) as found:
        reports = Reports(found.names.batches)
        whole(reports)
        await reports.tell(found)
        yield found


@pytest.fixture(scope="module")
async def closed_world(kafka: KafkaSettings) -> AsyncIterator[World]:
    """A server with tokens."""
    async with console_world(kafka, settings=TOKENS) as found:
        yield found


async def page(found: World, path: str, cookie: str = "", **headers: str) -> tuple[int, str, Mapping[str, str]]:
    """Return status, text and headers of a page, without following where it leads."""
    sent = {**({"Cookie": f"{NAME}={cookie}"} if cookie else {}), **headers}
    async with found.session.get(f"{found.url}{path}", headers=sent, allow_redirects=False) as response:
        return response.status, await response.text(), response.headers


async def sign_in(
    found: World, token: str, query: str = "", headers: Mapping[str, str] = OWN_PAGE
) -> tuple[int, str, Mapping[str, str]]:
    """Send the form; return the status, the cookie as it is set, and the headers."""
    url = f"{found.url}/sign-in{query}"
    async with found.session.post(url, data={"token": token}, headers=headers, allow_redirects=False) as response:
        found.session.cookie_jar.clear()
        return response.status, response.headers.get("Set-Cookie", ""), response.headers


def figures(text: str) -> dict[str, int]:
    """Return the figures of a page by their names."""
    found = re.findall(r'data-figure="([^"]+)"[^>]*>([\d,]+)<', text)
    return {name: int(value.replace(",", "")) for name, value in found}


async def test_every_figure_of_a_session_s_page_is_the_api_s(open_world: World) -> None:
    async with open_world.session.get(f"{open_world.url}/audience/sessions/autumn-26") as response:
        run = (await response.json())["runs"][0]
    status, text, _ = await page(open_world, "/sessions/autumn-26")
    assert status == 200
    wanted: dict[str, int] = {"users": run["users"]}
    for target in run["targets"]:
        users: dict[str, Any] = target["users"]
        steps = {"uploaded": run["users"], "in_log": users["inLog"], "sent": users["sent"]}
        steps |= {"accepted": users["accepted"], "matched": users["matched"], "rejected": users["rejected"]}
        wanted |= {f"{target['provider']}.{name}": count for name, count in steps.items() if count is not None}
    assert figures(text) == wanted
    assert text.count("the platform does not say") == sum(
        target["users"]["matched"] is None for target in run["targets"]
    )


async def test_what_the_overview_says_of_sessions_is_what_the_api_finds_by_their_state(open_world: World) -> None:
    _, text, _ = await page(open_world, "/")
    needs, under_way = (text.split(f'data-live="{name}"')[1].split("</section>")[0] for name in ("needs", "running"))
    for state, title in TITLES.items():
        names = [one["name"] for one in await sessions_of(open_world, state)]
        assert re.findall(f"<bdi>{title}</bdi>", needs) == [str(escape(name)) for name in names[:MOST_ALIKE]]
        assert needs.count(f"/sessions?state={state}") == (len(names) > MOST_ALIKE)
    running = [one for state in ("in_progress", "blocked") for one in await sessions_of(open_world, state)]
    links = re.findall(r'<h3><a href="/sessions/([^?"]*)', under_way)
    assert [unquote(link) for link in links] == [one["sessionId"] for one in running][:FOLLOWED]


async def sessions_of(found: World, state: str) -> list[dict[str, Any]]:
    """Return the sessions that the API finds in a state."""
    async with found.session.get(f"{found.url}/audience/sessions", params={"state": state}) as response:
        return list((await response.json())["sessions"])


async def test_every_rejected_user_that_the_api_lists_is_in_the_file_and_no_more(open_world: World) -> None:
    async with open_world.session.get(f"{open_world.url}/audience/sessions/autumn-26/rejected?format=csv") as response:
        api = await response.text()
    _, text, headers = await page(open_world, "/sessions/autumn-26/rejected.csv")
    assert text == api
    assert text.count("not_an_email") == 28
    assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/csv; charset=utf-8", "no-store")


@pytest.mark.parametrize("path", [*PAGES, "/sessions/none", "/sessions?cursor=wrong", "/sign-in"])
async def test_no_page_is_kept_framed_or_loads_anything_from_elsewhere(open_world: World, path: str) -> None:
    status, text, headers = await page(open_world, path)
    assert status == {"/sessions/none": 404, "/sessions?cursor=wrong": 400, "/sign-in": 303}.get(path, 200)
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["Referrer-Policy"] == "same-origin"
    elsewhere = r"(?:src|href)=\"(?:https?:)?//"
    inline = r"<script(?! type=\"module\" src=\"/console/)|<[^>]*\s(?:style|on[a-z]+)="
    assert not re.search(f"{elsewhere}|{inline}", text)


async def test_what_the_page_is_made_of_is_known_by_its_digest(open_world: World) -> None:
    status, _, headers = await page(open_world, "/console/console.css")
    assert status == 200
    assert (await page(open_world, "/console/console.css", **{"If-None-Match": headers["ETag"]}))[0] == 304


async def test_sessions_are_found_by_a_part_of_a_name_or_by_their_id(open_world: World) -> None:
    for search, name in (("vip CUST", "VIP customers"), ("autumn-26", "VIP customers"), ("31", "Winter sale")):
        _, text, _ = await page(open_world, f"/sessions?search={search}")
        assert re.findall(r'<th scope="row"><a [^>]*><bdi>([^<]*)', text) == [name]


async def test_without_tokens_no_page_of_another_origin_gets_in(open_world: World) -> None:
    assert (await page(open_world, "/", Host="attacker.example.com"))[0] == 403
    assert (await page(open_world, "/", Origin="http://attacker.example.com"))[0] == 403


@pytest.mark.parametrize("path", PAGES)
async def test_with_tokens_each_page_leads_to_the_form_and_back(closed_world: World, path: str) -> None:
    status, text, headers = await page(closed_world, path)
    assert (status, text) == (303, "")
    assert headers["Location"].startswith("/sign-in?next=")
    following = headers["Location"].removeprefix("/sign-in")
    status, cookie, headers = await sign_in(closed_world, "made-up", following)
    assert (status, headers["Location"]) == (303, path)
    value = cookie.partition(";")[0].partition("=")[2]
    assert (await page(closed_world, path, value))[0] in (200, 404)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("POST", "/", 401), ("POST", "//audience", 401), ("GET", "//audience", 401), ("POST", "/sessions", 401)],
)
async def test_with_tokens_a_program_is_never_led_to_the_form(
    closed_world: World, method: str, path: str, expected: int
) -> None:
    """It would follow, be given the form with 200, and take that for an upload that was accepted."""
    url = URL(f"{closed_world.url}{path}", encoded=True)
    async with closed_world.session.request(method, url, allow_redirects=False) as response:
        assert response.status == expected
        assert (await response.json())["success"] is False


async def test_the_cookie_opens_the_console_and_never_the_api(closed_world: World) -> None:
    _, cookie, _ = await sign_in(closed_world, "second")
    value = cookie.partition(";")[0].partition("=")[2]
    assert (await page(closed_world, "/", value))[0] == 200
    for path in ("/audience/sessions", "/audience/accounts", "/audience/batches/1", "/audience"):
        assert (await page(closed_world, path, value))[0] == 401
    form = make_form(make_users(2), batch=make_batch())
    sent = {"Cookie": f"{NAME}={value}", **OWN_PAGE}
    async with closed_world.session.post(f"{closed_world.url}/audience", data=form, headers=sent) as response:
        assert response.status == 401


async def test_of_all_other_paths_the_cookie_opens_the_stream_of_events_alone(closed_world: World) -> None:
    _, cookie, _ = await sign_in(closed_world, "only-look")
    sent = {"Cookie": cookie.partition(";")[0]}
    async with closed_world.session.get(f"{closed_world.url}/events", headers=sent) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
    assert (await page(closed_world, "/events"))[0] == 401


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(closed_world: World) -> None:
    _, cookie, _ = await sign_in(closed_world, "made-up")
    assert {"HttpOnly", "SameSite=Strict", "Path=/", f"Max-Age={int(LASTS.total_seconds())}"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert "made-up" not in cookie
    _, cookie, _ = await sign_in(closed_world, "made-up", headers={**OWN_PAGE, "X-Forwarded-Proto": "https"})
    assert "Secure" in cookie.split("; ")


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "http://a.example.com"}, {}],
)
async def test_what_no_page_of_ours_sends_changes_nothing(closed_world: World, headers: Mapping[str, str]) -> None:
    status, cookie, _ = await sign_in(closed_world, "made-up", headers=headers)
    assert (status, cookie) == (403, "")
    async with closed_world.session.post(f"{closed_world.url}/sign-out", headers=headers) as response:
        assert (response.status, response.headers.get("Set-Cookie")) == (403, None)


async def test_a_browser_without_fetch_metadata_signs_in_by_its_origin(closed_world: World) -> None:
    assert (await sign_in(closed_world, "made-up", headers={"Origin": closed_world.url}))[0] == 303


@pytest.mark.parametrize(
    "following", ["//a.example.com", "/\\a.example.com", "https://a.example.com", "/audience", "/sign-out"]
)
async def test_nobody_is_led_to_another_site(closed_world: World, following: str) -> None:
    assert (await sign_in(closed_world, "made-up", f"?next={following}"))[2]["Location"] == "/"


async def test_a_token_that_may_only_look_looks_at_pages_and_the_api_and_uploads_nothing(closed_world: World) -> None:
    _, cookie, _ = await sign_in(closed_world, "only-look")
    assert (await page(closed_world, "/", cookie.partition(";")[0].partition("=")[2]))[0] == 200
    bearer = {"Authorization": "Bearer only-look"}
    assert (await page(closed_world, "/audience/sessions", **bearer))[0] == 200
    form = make_form(make_users(2), batch=make_batch())
    async with closed_world.session.post(f"{closed_world.url}/audience", data=form, headers=bearer) as response:
        assert response.status == 403


async def test_failed_sign_ins_are_bounded_for_the_node_and_the_right_token_waits_too(kafka: KafkaSettings) -> None:
    async with console_world(kafka, settings=TOKENS) as found:
        assert [(await sign_in(found, "wrong"))[0] for _ in range(MOST_FAILED)] == [401] * MOST_FAILED
        status, cookie, headers = await sign_in(found, "made-up")
        assert (status, cookie) == (429, "")
        assert 0 < int(headers["Retry-After"]) <= WITHIN.total_seconds()


async def test_a_form_that_is_none_is_refused_as_one_with_a_wrong_token(kafka: KafkaSettings) -> None:
    async with console_world(kafka, settings=TOKENS) as found:
        for kind in ("application/x-www-form-urlencoded; charset=none", "text/plain", "multipart/form-data"):
            headers = {**OWN_PAGE, "Content-Type": kind}
            for body in (b"\xff=%zz&&token", b"token=" + b"x" * 10_000):
                async with found.session.post(f"{found.url}/sign-in", data=body, headers=headers) as response:
                    assert response.status == 401


def test_failed_sign_ins_are_forgotten_after_a_while() -> None:
    failed = FailedSignIns()
    for second in range(MOST_FAILED):
        assert not failed.wait(NOW + timedelta(seconds=second))
        failed.note(NOW + timedelta(seconds=second))
    assert failed.wait(NOW + timedelta(seconds=20)) == WITHIN - timedelta(seconds=20)
    assert not failed.wait(NOW + WITHIN)


def test_any_node_that_knows_the_token_takes_the_cookie_until_it_ends_or_the_token_goes() -> None:
    token, other = SecretStr("made-up"), SecretStr("other")
    cookie = signed(token, NOW)
    assert is_signed_by(cookie, [other, token], NOW)
    assert not is_signed_by(cookie, [other], NOW)
    assert not is_signed_by(cookie, [token], NOW + LASTS)
    late = f"{int(cookie.partition('.')[0]) + 1}.{cookie.partition('.')[2]}"
    for changed in (late, cookie[:-1], "", "1.", cookie * 9):
        assert not is_signed_by(changed, [token], NOW)


def test_tokens_that_may_only_look_need_some_that_may_upload() -> None:
    with pytest.raises(ValueError, match="AUDIENCE_READ_TOKENS: set AUDIENCE_API_TOKENS, too"):
        ServerSettings.model_validate({"AUDIENCE_READ_TOKENS": "only-look"})


def test_a_percentage_is_never_rounded_to_all_or_nothing() -> None:
    assert [percent(part, 1000) for part in (0, 1, 500, 999, 1000)] == ["0 %", "< 1 %", "50 %", "> 99 %", "100 %"]
    assert percent(0, 0) == "\N{EN DASH}"


def test_a_span_is_told_in_one_or_two_units() -> None:
    told = [span(seconds) for seconds in (None, 0.2, 59, 61, 3600, 90_061)]
    assert told == ["not known", "less than a second", "59 s", "1 min 1 s", "1 h", "1 d 1 h"]


def test_a_still_account_s_line_is_flat_and_a_fast_one_s_stays_inside() -> None:
    flat, fast = throughput({}), throughput({0: 10, STEPS - 1: 600})
    assert {point.partition(",")[2] for point in flat.points.split()} == {"27.0"}
    assert (fast.peak, fast.latest) == (60, 10)
    assert min(float(point.partition(",")[2]) for point in fast.points.split()) == 2


@pytest.mark.parametrize("is_folded", [False, True], ids=["stale", "folded"])
def test_a_session_still_being_sent_is_under_way_and_needs_somebody_once_its_sender_fell_silent(
    view: View, is_folded: bool
) -> None:
    view.fold_receipts([(receipt(0), None)], {}, "")
    if is_folded:
        StateFolder(view=view, rules=StateRules(targets=[FACEBOOK])).fold_all()
    told = {}
    for after in (timedelta(seconds=5), ARRIVING, LATELY, LATELY + timedelta(seconds=1)):
        queries = Queries(
            view=view,
            targets=[FACEBOOK],
            state_of=lambda _: None,
            now=lambda after=after: START + after,  # type: ignore[misc] # mypy cannot infer a lambda with a default
            window=WINDOW,
        )
        found = Readings(queries=queries).overview()
        assert [one.session_id for one in found.sessions] == ["7"]
        told[after] = (len(found.under_way), len(found.incomplete))
    assert list(told.values()) == [(1, 0), (0, 1), (0, 1), (0, 0)]


def test_missing_batches_stand_in_their_place_and_those_that_are_not_named_are_counted() -> None:
    batch = BatchOfRun(batch_id="a", sequence=2, users=5, at=NOW, mark=None, state="delivered")
    run = RunStatus(
        name="VIP",
        type="custom",
        state="incomplete",
        started_at=NOW,
        last_at=NOW,
        total_batches=10,
        total_users=50,
        users=5,
        missing=[1, 3],
        are_totals_right=True,
        batches=[batch],
        targets=[],
    )
    grid = batch_grid(run)
    assert [(cell.sequence, cell.state) for cell in grid.cells] == [(1, "missing"), (2, "delivered"), (3, "missing")]
    assert (grid.came, grid.missing, grid.unnamed) == (1, 9, 7)
