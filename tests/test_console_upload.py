"""The console's page for uploads over HTTP: what it says of a file is what becomes of it, and nothing of it is kept."""

import asyncio
import gzip
import html
import io
import json
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import aiohttp
import openpyxl
import pyarrow as arrow
import pytest
from console_world import MARKUP, console_world
from pyarrow import parquet
from test_replay import ledger
from world import ALL, World

from console.cookies import NAME
from console.rendering import POLICY
from console.upload.form import shown_file_name
from streams.client.settings import KafkaSettings

OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
LINES = {"Accept": "application/x-ndjson"}
TOKENS = {"AUDIENCE_API_TOKENS": "made-up", "AUDIENCE_READ_TOKENS": "only-look"}
PEOPLE = (
    ("ada@example.com", "+447911123456", "Ada"),
    ("no address", "", "Nobody"),
    ("", "+14155550100", "Grace"),
    ("joerg@example.com", "123", "Jörg"),
)
HEADER = ("Email", "Phone", "First Name")
CSV = "\n".join(",".join(row) for row in (HEADER, *PEOPLE)).encode()
OBJECTS = [dict(zip(("email", "phone", "firstName"), row, strict=True)) for row in PEOPLE]


def of_excel(*sheets: str) -> bytes:
    """Return the people as a workbook, on each of several sheets where these are named."""
    book, made = openpyxl.Workbook(), io.BytesIO()
    for sheet in (book.active, *(book.create_sheet() for _ in sheets[1:])):
        for row in (HEADER, *PEOPLE):
            sheet.append(row)
    for title, sheet in zip(sheets, book.worksheets, strict=False):
        sheet.title = title
    book.save(made)
    return made.getvalue()


def of_parquet() -> bytes:
    """Return the people as a Parquet file."""
    made = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(OBJECTS), made)
    return made.getvalue()


KINDS: Mapping[str, bytes] = {
    "people.csv": CSV,
    "people.json": json.dumps(OBJECTS).encode(),
    "people.jsonl": "\n".join(map(json.dumps, OBJECTS)).encode(),
    "people.parquet": of_parquet(),
    "people.xlsx": of_excel(),
    "people.csv.gz": gzip.compress(CSV),
    "people.parquet.gz": gzip.compress(of_parquet()),
}


@pytest.fixture(scope="module")
async def found(kafka: KafkaSettings) -> AsyncIterator[World]:
    """A server without tokens, and consumers that deliver to the sandbox."""
    async with console_world(kafka, consuming=ALL) as opened:
        yield opened


@pytest.fixture(scope="module")
async def closed(kafka: KafkaSettings) -> AsyncIterator[World]:
    """A server with tokens that takes files of at most 100,000 bytes."""
    settings = {**TOKENS, "AUDIENCE_MAX_BODY": 100_000}
    async with console_world(kafka, settings=settings) as opened:
        yield opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer."""

    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def fields(self) -> dict[str, str]:
        """What the form would send again, as the browser does: hidden fields, and what is chosen of each column."""
        tags = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', self.text)
        fields = {name: html.unescape(value) for name, value in tags}
        for name, options in re.findall(r'<select name="(column\.\d+)"[^>]*>(.*?)</select>', self.text):
            chosen = re.search(r'value="([^"]*)" selected', options)
            fields[name] = chosen[1] if chosen else ""
        return fields

    @property
    def columns(self) -> list[str]:
        """What each column becomes."""
        fields = self.fields
        return [fields[f"column.{place}"] for place in range(sum(name.startswith("column.") for name in fields))]

    @property
    def problem(self) -> str:
        """What it says is wrong."""
        found = re.search(r'class="problem-text"><bdi>(.*?)</bdi>', self.text, re.DOTALL)
        return html.unescape(found[1]) if found else ""

    def figure(self, name: str) -> int:
        """Return a figure by its name."""
        found = re.search(rf'data-figure="{name}"[^>]*>([\d,]+)<', self.text)
        assert found, self.text
        return int(found[1].replace(",", ""))


async def post(
    world: World,
    path: str,
    content: bytes | None,
    fields: Mapping[str, str] = MappingProxyType({}),
    *,
    file: str = "people.csv",
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Page:
    """Send the form."""
    form = aiohttp.FormData(default_to_multipart=True)
    if content is not None:
        form.add_field("file", io.BytesIO(content), filename=file)
    for field, value in {"name": "VIP", "type": "custom", "mode": "add", **fields}.items():
        form.add_field(field, value)
    url = f"{world.url}/upload/{path}"
    async with world.session.post(url, data=form, headers={**OWN_PAGE, **headers}, allow_redirects=False) as response:
        return Page(status=response.status, text=await response.text(), headers=response.headers)


async def look(world: World, content: bytes | None, file: str = "people.csv", **fields: str) -> Page:
    """Look at a file."""
    return await post(world, "look", content, fields, file=file)


async def send(world: World, looked: Page, content: bytes, **fields: str) -> Page:
    """Send a file that was looked at, as a browser without scripts."""
    return await post(world, "send", content, {**looked.fields, **fields})


async def cookie(world: World, token: str) -> Mapping[str, str]:
    """Sign in."""
    sent = world.session.post(f"{world.url}/sign-in", data={"token": token}, headers=OWN_PAGE, allow_redirects=False)
    async with sent as response:
        value = response.cookies[NAME].value
    world.session.cookie_jar.clear()
    return {"Cookie": f"{NAME}={value}"}


async def session(world: World, page: Page) -> dict[str, object]:
    """Return the newest run of the session to which a page led, once it is over."""
    number = page.headers["Location"].partition("?")[0].rpartition("/")[2]
    async with world.session.get(f"{world.url}/audience/sessions/{number}?wait=30") as response:
        run: dict[str, object] = (await response.json())["runs"][0]
        return run


@pytest.mark.parametrize("name", KINDS)
async def test_what_each_account_could_use_of_a_file_is_what_it_then_takes_and_no_file_is_written(
    found: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    audience = f"Kind {name}"
    seen = await look(found, KINDS[name], name, name=audience)
    assert (seen.status, seen.columns) == (200, ["email", "phone", "firstName"]), seen.problem
    sent = await send(found, seen, KINDS[name], name=audience)
    assert sent.status == 303, sent.problem
    run = await session(found, sent)
    assert (run["users"], run["totalUsers"], run["totalBatches"], run["name"]) == (4, 4, 1, audience)
    targets = run["targets"]
    assert isinstance(targets, list)
    counts = {one["provider"]: (one["users"]["accepted"], one["users"]["rejected"]) for one in targets}
    assert counts == {one: (seen.figure(f"{one}.usable"), seen.figure(f"{one}.rejected")) for one in ALL}
    assert counts["facebook"][0] in (2, 3)


async def test_a_look_shows_the_requests_of_the_first_users_and_nothing_is_sent(found: World) -> None:
    before = len(await found.completions(0))
    seen = await look(found, CSV, name="Only looked at")
    assert "graph.facebook.com" in seen.text or "/customaudiences" in seen.text
    assert seen.text.count("profile-bulk-import-jobs") > 0
    assert "ada@example.com" in html.unescape(seen.text)  # Klaviyo gets it plain
    assert seen.headers["Cache-Control"] == "no-store"
    async with found.session.get(f"{found.url}/audience/sessions") as response:
        assert "Only looked at" not in await response.text()
    assert len(await found.completions(0)) == before


async def test_a_look_counts_the_values_that_usable_users_would_go_out_without(found: World) -> None:
    content = b"Email,Mobil\nada@example.com,0170 1234567\nalan@example.com,0170 1234568\n"
    seen = await look(found, content)
    assert (seen.figure("facebook.usable"), seen.text.count("Usable, but without")) == (2, len(ALL))
    assert "phone: not_a_phone" in seen.text
    seen = await look(found, content, country="Germany")
    assert "Usable, but without" not in seen.text


async def test_a_sheet_that_has_to_be_named_is_asked_for_in_the_page_s_words(found: World) -> None:
    seen = await look(found, of_excel("Summary", "Customers"), "people.xlsx")
    assert seen.problem.endswith('"Summary", "Customers"; write which one where the page asks for the sheet')


async def test_a_column_that_no_header_explains_is_asked_for_and_not_guessed(found: World) -> None:
    content = b"A,B\nada@example.com,alan@example.com\ngrace@example.com,jo@example.com\n"
    asked = await look(found, content)
    assert "Which column holds email addresses?" in asked.problem
    assert (asked.columns, asked.text.count("May be meant"), "seen" in asked.fields) == (["", ""], 2, False)
    chosen = await look(found, content, **{**asked.fields, "column.1": "email"})
    assert (chosen.columns, chosen.figure("facebook.usable")) == (["", "email"], 2)
    sent = await send(found, chosen, content)
    assert sent.status == 303
    assert (await session(found, sent))["users"] == 2


async def test_headers_that_stand_twice_are_asked_for(found: World) -> None:
    content = b"Email,First Name,First Name\nada@example.com,Ada,Augusta\n"
    asked = await look(found, content)
    assert "choose its field below" in asked.problem
    assert "--" not in asked.problem
    assert asked.columns == ["email", "", ""]
    assert (await look(found, content, **{**asked.fields, "column.2": "firstName"})).columns == [
        "email",
        "",
        "firstName",
    ]


async def test_the_preferred_column_stays_the_preferred_one_when_it_is_sent(found: World) -> None:
    """`Billing Email` stands first in the file and counts only where `Email` is empty."""
    content = b"Billing Email,Email\nbilling@example.com,own@example.com\n"
    first = await look(found, content, name="Preferred")
    again = await look(found, content, name="Preferred", **first.fields)
    assert first.columns == again.columns == ["email", "email"]
    for seen in (first, again):
        assert "own@example.com" in html.unescape(seen.text)
        assert "billing@example.com" not in html.unescape(seen.text)
    assert (await send(found, again, content, name="Preferred")).status == 303


async def test_a_column_that_is_not_to_be_sent_is_not(found: World) -> None:
    seen = await look(found, CSV)
    less = await look(found, CSV, **{**seen.fields, "column.1": ""})
    assert less.columns == ["email", "", "firstName"]
    assert less.figure("facebook.usable") < seen.figure("facebook.usable")


async def test_choices_of_another_file_s_columns_count_for_nothing(found: World) -> None:
    seen = await look(found, CSV)
    other = await look(found, b"Phone,Email\n+447911123456,ada@example.com\n", **seen.fields)
    assert other.columns == ["phone", "email"]


async def test_only_who_agreed_is_counted_and_sent_where_that_is_asked_for(found: World) -> None:
    content = b"Email,Newsletter\nada@example.com,yes\nalan@example.com,no\n"
    seen = await look(found, content, name="Agreed")
    assert seen.figure("facebook.usable") == 2
    assert "Consent was not looked at" in seen.text
    agreed = await look(found, content, name="Agreed", **{**seen.fields, "consented": "yes"})
    assert agreed.figure("facebook.usable") == 1
    assert "1 did not agree" in agreed.text
    sent = await send(found, agreed, content, name="Agreed", consented="yes")
    assert (await session(found, sent))["users"] == 1
    nobody = await look(found, b"Email,Newsletter\nada@example.com,no\n", consented="yes")
    assert (nobody.status, "seen" in nobody.fields) == (400, False)
    assert "agreed" in nobody.problem
    without = await look(found, CSV, consented="yes")
    assert "no column of consent is known" in without.problem


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("empty.csv", b"", "is empty"),
        ("form.pdf", b"%PDF-1.7 \xe2\xe3", "is a PDF"),
        ("broken.jsonl", b'{"email":"ada@example.com"}\n{"email":\n', "line 2"),
        ("broken.xlsx", of_excel()[:-200], "cut off or damaged"),
        ("broken.csv.gz", gzip.compress(CSV)[:-9], "cut off or damaged"),
        ("broken.parquet", of_parquet()[:-40], "cut off or damaged"),
        ("header.csv", b"Email,Phone\n", "no customer"),
        ("long.csv", b"Email\n" + b"x" * 2000 + b"\n", "row 2"),
        ("bomb.csv.gz", gzip.compress(b"Email\n" + b"a@example.com\n" * 1_000_000, 1), "more than 8 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
async def test_a_file_that_can_t_be_read_is_told_with_the_place_and_nothing_of_it_is_sent(
    found: World, file: str, content: bytes, said: str
) -> None:
    seen = await look(found, content, file)
    assert seen.status == 400
    assert seen.problem.startswith(file)
    assert said in seen.problem, seen.problem
    assert "--" not in seen.problem
    assert "seen" not in seen.fields


async def test_a_list_of_names_alone_can_t_be_uploaded_and_the_columns_are_shown(found: World) -> None:
    seen = await look(found, b"First Name,Last Name\nAda,Lovelace\n")
    assert "no column is known to hold e-mail addresses or phone numbers" in seen.problem
    assert (seen.columns, "seen" in seen.fields) == (["firstName", "lastName"], False)


async def test_nothing_else_is_sent_than_what_was_looked_at(found: World) -> None:
    seen = await look(found, CSV, name="Looked at")
    for content, changes in (
        (CSV + b"\nmore@example.com,,", {}),
        (CSV, {"name": "Another"}),
        (CSV, {"country": "DE"}),
        (CSV, {"column.0": "phone"}),
        (CSV, {"seen": ""}),
    ):
        sent = await send(found, seen, content, **{"name": "Looked at", **changes})
        assert (sent.status, "not what was looked at" in sent.problem) == (409, True)
    for wrong in ("", "0", "-1", "1e3", "٣", "9" * 17):
        assert (await send(found, seen, CSV, name="Looked at", session=wrong)).status == 400


async def test_what_is_sent_twice_from_one_page_counts_once(found: World) -> None:
    seen = await look(found, CSV, name="Twice")
    for _ in range(2):
        run = await session(found, await send(found, seen, CSV, name="Twice"))
        assert (run["users"], len(run["batches"])) == (4, 1)  # type: ignore[arg-type] # a list


async def test_a_page_with_scripts_is_told_line_by_line_how_far_it_is(found: World) -> None:
    content = b"email\n" + b"".join(b"person%d@example.com\n" % number for number in range(12_000))
    seen = await look(found, content, name="Lines")
    sent = await post(found, "send", content, {**seen.fields, "name": "Lines"}, headers=LINES)
    lines = [json.loads(line) for line in sent.text.splitlines()]
    assert [line["users"] for line in lines[:-1]] == [0, 5_000, 10_000, 12_000]
    assert {line["total"] for line in lines[:-1]} == {12_000}
    assert lines[-1]["done"].startswith(f"/sessions/{seen.fields['session']}?name=Lines&")
    status, text = await get(found, lines[-1]["done"])
    assert (status, "12,000" in text) == (200, True)


async def test_who_leaves_while_it_is_sent_stops_nothing(found: World) -> None:
    content = b"email\n" + b"".join(b"person%d@example.com\n" % number for number in range(30_000))
    seen = await look(found, content, name="Gone")
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("file", io.BytesIO(content), filename="people.csv")
    for field, value in {**seen.fields, "name": "Gone", "type": "custom", "mode": "add"}.items():
        form.add_field(field, value)
    async with aiohttp.ClientSession() as leaving:
        response = await leaving.post(f"{found.url}/upload/send", data=form, headers={**OWN_PAGE, **LINES})
        await response.content.readline()
    async with asyncio.timeout(30):
        while True:
            async with found.session.get(f"{found.url}/audience/sessions/{seen.fields['session']}") as response:
                if response.status == 200 and (await response.json())["runs"][0]["users"] == 30_000:
                    break
            await asyncio.sleep(0.1)


async def test_people_are_taken_out_only_where_that_is_confirmed_and_all_processes_know_how(found: World) -> None:
    content = b"Email\nada@example.com\n"
    seen = await look(found, content, name="Leaving", mode="remove")
    assert "Take out 1 user" in seen.text
    assert "the ledger does not know removals yet" in seen.text
    unsaid = await send(found, seen, content, name="Leaving", mode="remove")
    assert (unsaid.status, "Confirm" in unsaid.problem) == (400, True)
    said = await send(found, seen, content, name="Leaving", mode="remove", confirmed="remove")
    assert (said.status, "the ledger does not know removals yet" in said.problem) == (503, True)
    async with ledger(found):
        async with asyncio.timeout(30):
            while (await send(found, seen, content, name="Leaving", mode="remove", confirmed="remove")).status != 303:
                await asyncio.sleep(0.1)
        async with found.session.get(f"{found.url}/audience/sessions/{seen.fields['session']}") as response:
            assert (await response.json())["runs"][0]["mode"] == "remove"


async def get(world: World, path: str, headers: Mapping[str, str] = MappingProxyType({})) -> tuple[int, str]:
    """Return a page."""
    async with world.session.get(f"{world.url}{path}", headers=headers, allow_redirects=False) as response:
        return response.status, await response.text()


async def test_names_of_files_and_columns_and_values_are_shown_as_they_are_and_do_nothing(found: World) -> None:
    name = f"{MARKUP}\u202e.csv"
    content = f'Email,"{MARKUP.replace(chr(34), chr(34) * 2)}\u202e"\nada@example.com,{MARKUP.split(">")[0]}\n'.encode()
    seen = await look(found, content, name, name=MARKUP)
    assert seen.status == 200
    main = seen.text.partition("<main")[2]
    assert "<script" not in main
    assert "onload=x>" not in main.replace("&gt;", "")
    assert "\u202e" not in main
    broken = await look(found, b"", name)
    assert "<script" not in broken.text.partition("<main")[2]
    assert "\u202e" not in broken.text


@pytest.mark.parametrize("path", ["look", "send"])
async def test_no_other_page_uploads_anything(found: World, path: str) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}):
        assert (await post(found, path, CSV, headers=headers)).status == 403


@pytest.mark.parametrize("path", ["look", "send"])
async def test_with_tokens_only_who_signed_in_to_upload_does(closed: World, path: str) -> None:
    assert (await post(closed, path, CSV)).status == 401
    shown = await post(closed, path, CSV, headers={"Accept": "text/html"})
    assert (shown.status, "signed out here" in shown.text, shown.headers["Cache-Control"]) == (401, True, "no-store")
    looking, uploading = await cookie(closed, "only-look"), await cookie(closed, "made-up")
    refused = await post(closed, path, CSV, headers=looking)
    assert (refused.status, "may only look" in refused.text) == (403, True)
    assert (await post(closed, path, CSV, headers={**looking, **LINES})).status == 403
    assert (await post(closed, path, CSV, headers=uploading)).status == (200 if path == "look" else 400)
    assert (await post(closed, path, CSV, headers={**uploading, "Sec-Fetch-Site": "cross-site"})).status == 403


async def test_who_may_only_look_is_told_so_and_has_no_form(closed: World) -> None:
    status, text = await get(closed, "/upload", await cookie(closed, "only-look"))
    assert (status, "may only look" in text, "<form id" in text) == (200, True, False)
    assert 'href="/upload"' not in text
    status, text = await get(closed, "/upload", await cookie(closed, "made-up"))
    assert (status, "<form id" in text, 'href="/upload"' in text) == (200, True, True)


async def test_a_file_that_is_too_large_is_told_the_command_also_where_its_form_is_not(closed: World) -> None:
    headers = await cookie(closed, "made-up")
    for size in (100_001, 400_000):
        seen = await post(closed, "look", b"Email\n" + b"a" * size, headers=headers)
        assert (seen.status, "audience upload FILE" in seen.text) == (413, True)
    assert (await post(closed, "look", CSV, headers=headers)).status == 200


async def test_a_proxy_may_send_the_form_on_without_its_length(closed: World) -> None:
    parts = (b'name="name"\r\n\r\nVIP', b'name="file"; filename="people.csv"\r\n\r\n' + CSV)

    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield b"--x\r\nContent-Disposition: form-data; " + part + b"\r\n"
        yield b"--x--\r\n"

    headers = {**OWN_PAGE, **await cookie(closed, "made-up"), "Content-Type": "multipart/form-data; boundary=x"}
    async with closed.session.post(f"{closed.url}/upload/look", data=body(), headers=headers) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "fields", [{"name": " "}, {"name": "x" * 256}, {"type": "other"}, {"mode": "replace"}, {"country": "Deutschlnad"}]
)
async def test_what_can_t_be_asked_for_is_told(found: World, fields: dict[str, str]) -> None:
    seen = await look(found, CSV, **fields)
    assert (seen.status, bool(seen.problem), "seen" in seen.fields) == (400, True, False)


async def test_a_form_without_a_file_or_that_is_none_is_told(found: World) -> None:
    assert (await look(found, None)).problem == "Choose a file."
    async with found.session.post(f"{found.url}/upload/look", data={"name": "VIP"}, headers=OWN_PAGE) as response:
        assert response.status == 400
    broken = {**OWN_PAGE, "Content-Type": "multipart/form-data; boundary=x"}
    async with found.session.post(f"{found.url}/upload/look", data=b"--x\r\nnone", headers=broken) as response:
        assert (response.status, "did not come whole" in await response.text()) == (400, True)


async def test_no_answer_is_kept_framed_or_loads_anything(found: World) -> None:
    for seen in (await look(found, CSV), await look(found, b""), await look(found, None)):
        assert (seen.headers["Cache-Control"], seen.headers["Content-Security-Policy"]) == ("no-store", POLICY)
        assert seen.headers["Referrer-Policy"] == "same-origin"
        assert not re.search(r"<[^>]*\s(?:style|on[a-z]+)=", seen.text)


async def test_a_node_reads_few_files_at_once_and_says_when_to_come_again(found: World) -> None:
    content = b"email\n" + b"".join(b"person%d@example.com\n" % number for number in range(60_000))
    seen = await asyncio.gather(*(look(found, content) for _ in range(6)))
    assert sorted({one.status for one in seen}) == [200, 503]
    assert {one.headers.get("Retry-After") for one in seen if one.status == 503} == {"5"}
    assert (await look(found, CSV)).status == 200


async def test_without_the_client_the_page_names_the_command(kafka: KafkaSettings) -> None:
    async with console_world(kafka, files=None) as without:
        status, text = await get(without, "/upload")
        assert (status, "audience-client is not installed" in text, "audience upload FILE" in text) == (200, True, True)
        assert (await look(without, CSV)).status == 503


def test_of_a_file_s_path_only_its_name_is_shown() -> None:
    names = {
        "C:\\Users\\Ada\\list.csv": "list.csv",
        "a/b/list.csv": "list.csv",
        "a\nb.csv": "a\N{REPLACEMENT CHARACTER}b.csv",
    }
    assert {sent: shown_file_name(sent) for sent in names} == names
    assert len(shown_file_name("x" * 500)) == 121
