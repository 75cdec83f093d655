"""Whether the sandbox checks an upload in bulk or row by row shows nowhere: not in answers, not in what is held."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from clocks import Clock

from sandbox import CREDENTIALS, SandboxOptions
from sandbox.app import create_app
from sandbox.facebook.bulk import sound_upload
from sandbox.kit.bulk_checks import MD5, PART, SHA256, are_hashes
from sandbox.klaviyo.bulk import sound_import
from sandbox.tiktok.bulk import sound_mapping

CASES = 600
LOOK = 20
"""Cases after which all that is held is compared."""

PLACEHOLDER = "6000000000000000001"
"""Stands in bodies for the audience's id, which is another one in each sandbox."""

TIMES = frozenset({"created_at", "completed_at", "expires_at", "started_at", "start_time"})
RANDOM = TIMES | {"fbtrace_id", "request_id", "id", "links"}
"""Members of answers that differ by chance or by the time."""

DROPPED = frozenset({"x-fb-trace-id", "date", "content-length"})


def hashed(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


HASH = hashed("ada@example.com")
JUNK: Sequence[object] = (
    None, True, False, 0, 1, -1, 0.0, 1.5, -0.5, 1e300, 10**30, 10**400, "", "0", "-1", "1.5", "inf", "x", "X" * 64,
    HASH, HASH.upper(), HASH[:-1], HASH + "0", HASH[:-1] + "g", HASH[:-1] + "é", HASH[:31] + "," + HASH[:32],
    HASH + "," + HASH, HASH[:32], HASH + "\n", "٣" * 8, "ada@example.com", "ada@example", "a b@example.com",
    "ada@example.com\n", "+14155550100", "+1415555010٣", "4155550100", "+0155550100", "x" * 256, "Zoë \"Z\" \\ \x01",
    "x" * 100_001, [], {}, [HASH], [[HASH]], {"id": HASH}, {"a": {"b": [1, None]}}, "add", "delete", "profile", "EMAIL",
    "LOOKALIKE_VALUE", "MADID", "DATA_PROCESSING_OPTIONS", "IDFA_MD5", "aaid_md5", "email_sha256", "1001", ["1001"],
)  # fmt: skip
NAMES = (
    "",
    "unknown",
    "method",
    "id",
    "action",
    "audience_ids",
    "type",
    "email",
    "phone_number",
    "title",
    "ip",
    "data",
)


@dataclass(slots=True)
class Side:
    """One sandbox, the clock that it goes by, and the audiences made in it."""

    http: "TestClient[Any, Any]"
    clock: Clock
    audiences: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Any:
        """Call; return status, headers and answer, without what differs by chance."""
        async with self.http.request(method, path, data=body, headers=headers) as response:
            text = await response.text()
            kept = {name.lower(): value for name, value in response.headers.items() if name.lower() not in DROPPED}
        for number, audience in enumerate(self.audiences):
            text = text.replace(audience, f"audience {number}")
        try:
            return response.status, kept, json.loads(text)
        except ValueError:
            return response.status, kept, text

    async def held(self, provider: str) -> Any:
        """Return members by audience, and counters."""
        found = []
        for number in range(len(self.audiences)):
            query = {"provider": provider, "audience": f"audience {number}"}
            async with self.http.get("/_sandbox/members", params=query) as response:
                found.append(await response.json())
        return found, await self.counters()

    async def counters(self) -> Any:
        """Return all counters."""
        async with self.http.get("/_sandbox/counters") as response:
            return await response.json()


def alike(answer: Any) -> Any:
    """Return an answer with what differs by chance hidden."""
    if isinstance(answer, dict):
        return {name: "…" if is_by_chance(name, value) else alike(value) for name, value in answer.items()}
    return [alike(inner) for inner in answer] if isinstance(answer, list | tuple) else answer


def is_by_chance(name: str, value: object) -> bool:
    """Tell what differs by chance: the session that Meta makes up for rows removed without one has 17 digits."""
    return bool(value) and (name in RANDOM or (name == "session_id" and len(str(value)) == 17))


@asynccontextmanager
async def two_sandboxes() -> AsyncIterator[Sequence[Side]]:
    """Run one sandbox that checks in bulk and one that does not."""
    clocks = [Clock(), Clock()]
    options = [
        SandboxOptions(latency=0, job_seconds=2, clock=clock, in_bulk=in_bulk)
        for clock, in_bulk in zip(clocks, (True, False), strict=True)
    ]
    async with (
        TestClient(TestServer(create_app(options[0]))) as bulk,
        TestClient(TestServer(create_app(options[1]))) as rows,
    ):
        yield [Side(bulk, clocks[0]), Side(rows, clocks[1])]


def places_in(value: object, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to all that a JSON value holds."""
    inner: Sequence[tuple[Any, object]] = ()
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [above] * bool(above) + [way for key, one in inner for way in places_in(one, (*above, key))]


def damage(chance: random.Random, body: Any) -> None:
    """Change, drop, add or double something anywhere in a body."""
    ways = places_in(body)
    if not ways:
        return
    *above, key = chance.choice(ways)
    holder = body
    for step in above:
        holder = holder[step]
    match chance.randrange(5):
        case 0 | 1:
            holder[key] = deepcopy(chance.choice(JUNK))
        case 2:
            del holder[key]
        case 3 if isinstance(holder, list):
            holder.insert(key, deepcopy(holder[chance.randrange(len(holder))]))
        case 3 | 4 if isinstance(holder, dict):
            holder[chance.choice(NAMES)] = deepcopy(chance.choice(JUNK))
        case _:
            holder.append(deepcopy(chance.choice(JUNK)))


def damaged_text(chance: random.Random, text: bytes) -> bytes:
    """Change a body as text: cut it, break a byte, say a member twice, or write it differently."""
    at = chance.randrange(len(text))
    broken = bytes([chance.choice((0, 0xFF, 0xC3, 0x22, 0x5C, 0x2C, 0x7D))])
    return chance.choice(
        [
            text[:at],
            text[:at] + broken + text[at + 1 :],
            text.replace(b'":', b'" : ').replace(b",", b",\n "),
            b'{"payload":1,"id_schema":["IDFA_MD5"],"data":{"type":"profile"},' + text[1:],
            text.replace(b'"id":', b'"id":"x","id":').replace(b'"email":', b'"email":"x","email":'),
            text.replace(b"e", b"\\u0065", chance.randrange(1, 20)),
            text[:1] + b'"extra":"\xff",' + text[1:],
            b"\xef\xbb\xbf" + text,
            text + b" x",
        ]
    )


Make = Callable[[random.Random, int], Any]


def made(chance: random.Random, number: int, make: Make) -> bytes:
    """Return a body, about half of them whole."""
    body = make(chance, number)
    for _ in range(chance.choice((0, 0, 0, 1, 1, 2))):
        damage(chance, body)
    text = json.dumps(body, ensure_ascii=bool(chance.randrange(2)), separators=(",", ":")).encode()
    return damaged_text(chance, text) if chance.random() < 0.15 else text


def count_of_rows(chance: random.Random) -> int:
    """Return how many rows an upload has: few, or more than are looked at together."""
    return PART + 2 if chance.random() < 0.03 else chance.randrange(1, 6)


def meta_body(chance: random.Random, number: int) -> Any:
    """Return an upload to Meta; people come again, and some cells are empty."""
    columns = chance.choice((["EMAIL"], ["EXTERN_ID", "EMAIL", "PHONE"], ["EXTERN_ID", "EMAIL", "FN", "MADID"]))
    schema = [*columns, "LOOKALIKE_VALUE"] if chance.random() < 0.4 else columns
    schema = [*schema, "DATA_PROCESSING_OPTIONS"] if chance.random() < 0.05 else schema
    people = [chance.randrange(60) for _ in range(count_of_rows(chance))]
    rows = [[meta_cell(chance, column, person) for column in schema] for person in people]
    session = {"session_id": 1000 + number, "batch_seq": 1, "last_batch_flag": True, "estimated_num_total": len(rows)}
    return {"payload": {"schema": schema, "data": rows}, "session": session}


def meta_cell(chance: random.Random, column: str, person: int) -> object:
    """Return a cell, now and then an empty one."""
    if column == "LOOKALIKE_VALUE":
        return 10**400 if chance.random() < 0.02 else chance.choice((0, person, person / 4))
    if chance.random() < 0.06:
        return ""
    return f"edge-{person}" if column in ("EXTERN_ID", "MADID") else hashed(f"{column} {person}")


def tiktok_body(chance: random.Random, number: int) -> Any:
    """Return a mapping of TikTok; people come again, and some cells are empty."""
    del number
    schema = chance.choice((["EMAIL_SHA256"], ["EMAIL_SHA256", "PHONE_SHA256"], ["email_sha256", "IDFA_MD5"]))
    people = [chance.randrange(60) for _ in range(count_of_rows(chance))]
    rows = [
        [
            {}
            if chance.random() < 0.06
            else {
                "id": hashed(f"{kind} {person}")[: 32 if kind.endswith("MD5") else 64],
                "audience_ids": [PLACEHOLDER] * (2 if chance.random() < 0.01 else 1),
            }
            for kind in schema
        ]
        for person in people
    ]
    action = "delete" if chance.random() < 0.15 else "add"
    return {"advertiser_ids": ["1001"], "action": action, "id_schema": schema, "batch_data": rows}


def klaviyo_body(chance: random.Random, number: int) -> Any:
    """Return an import of Klaviyo: of new people, of the same again, or of some who share what identifies them."""
    kind, count = chance.randrange(3), count_of_rows(chance)
    numbers = [number * 1000 + chance.choice((0, one)) for one in range(count)] if kind == 0 else range(count)
    profiles = [klaviyo_profile(chance, one if kind < 2 else chance.randrange(8), mixed=kind == 2) for one in numbers]
    lists = {"lists": {"data": [{"type": "list", "id": PLACEHOLDER}] * (2 if chance.random() < 0.05 else 1)}}
    attributes = {"profiles": {"data": profiles}}
    return {"data": {"type": "profile-bulk-import-job", "attributes": attributes, "relationships": lists}}


def klaviyo_profile(chance: random.Random, person: int, *, mixed: bool) -> Any:
    """Return a profile, of one person or mixed of several."""
    other = chance.randrange(8) if mixed else person
    attributes: dict[str, Any] = {"email": f"person{person}@example.com", "phone_number": f"+1415{5550000 + other}"}
    attributes |= {"external_id": f"edge-{person}", "first_name": "Zoë", "location": {"country": "US", "zip": "94107"}}
    attributes |= {"properties": {"purchase_currency": "USD", "purchase_profit": person / 4}}
    if chance.random() < 0.02:
        attributes[chance.choice(("external_id", "title"))] = "x" * chance.choice((256, 99_000, 100_000))
    for name in [name for name in attributes if chance.random() < (0.3 if mixed else 0.02)]:
        del attributes[name]
    return {"type": "profile", "attributes": attributes}


async def fault(chance: random.Random, sides: Sequence[Side], provider: str) -> None:
    """Let the next upload meet a fault that is about its rows, in both."""
    kind = chance.choice(("partial", "half", "dislikes"))
    values = [HASH, hashed("EMAIL 3"), "edge-3", "person3@example.com", ""]
    told: dict[str, Any] = {"provider": provider, "fault": kind, **({"values": values} if kind == "dislikes" else {})}
    for side in sides:
        async with side.http.post("/_sandbox/faults", json=told) as response:
            assert response.status == 201


ENDED = "the connection ended"


async def answers(sides: Sequence[Side], ask: Callable[[Side], Awaitable[Any]]) -> Any:
    """Return what both answer, which is the same."""
    found = []
    for side in sides:
        try:
            found.append(alike(await ask(side)))
        except aiohttp.ClientError:
            found.append(ENDED)
    assert found[0] == found[1]
    return found[0]


class Upload(Protocol):
    """What sends a body to a sandbox, for one of its audiences."""

    async def __call__(self, side: Side, body: bytes, place: int) -> Any:
        """Return the answer."""


async def compared(
    sides: Sequence[Side], provider: str, make: Make, upload: Upload, pauses: Sequence[float] = (0.0, 0.5, 1.5)
) -> tuple[list[Any], list[bytes]]:
    """Send many bodies to both, compare all the while, and return the answers and the bodies."""
    chance, found, bodies = random.Random(provider), [], []
    for number in range(CASES):
        if chance.random() < 0.06:
            await fault(chance, sides, provider)
        bodies.append(made(chance, number, make))
        found.append(await answers(sides, partial(upload, body=bodies[-1], place=chance.randrange(2))))
        pause = chance.choice(pauses)
        for side in sides:
            side.clock.now += pause
        assert await sides[0].counters() == await sides[1].counters()
        if number % LOOK == 0 or number == CASES - 1:
            assert await sides[0].held(provider) == await sides[1].held(provider)
    return [answer for answer in found if answer != ENDED], bodies


META = {
    "Authorization": f"Bearer {CREDENTIALS['facebook']['FACEBOOK_ACCESS_TOKEN']}",
    "Content-Type": "application/json",
}


async def test_meta_answers_and_holds_the_same_however_rows_are_checked() -> None:
    async with two_sandboxes() as sides:
        for side in sides:
            for number in range(2):
                body: dict[str, object] = {"name": f"audience {number}", "is_value_based": bool(number)}
                body |= {"customer_file_source": "USER_PROVIDED_ONLY"}
                text = json.dumps(body).encode()
                async with side.http.post("/facebook/v26.0/act_1/customaudiences", data=text, headers=META) as response:
                    side.audiences.append((await response.json())["id"])

        async def upload(side: Side, body: bytes, place: int) -> Any:
            at = f"/facebook/v26.0/{side.audiences[place]}"
            method = "?method=delete" if len(body) % 31 == 0 else ""
            sent = await side.ask("POST", f"{at}/users{method}", META, body)
            return [*sent, await side.ask("GET", f"{at}/sessions", META)]

        found, bodies = await compared(sides, "facebook", meta_body, upload)
    statuses = Counter(status for status, *_ in found)
    assert min(statuses[200], statuses[400]) > CASES // 5
    assert CASES // 5 < sum(sound_upload(body) is not None for body in bodies) < CASES


TIKTOK = {"Access-Token": CREDENTIALS["tiktok"]["TIKTOK_ACCESS_TOKEN"], "Content-Type": "application/json"}


async def test_tiktok_answers_and_holds_the_same_however_rows_are_checked() -> None:
    async with two_sandboxes() as sides:
        for side in sides:
            for number in range(2):
                text = json.dumps({"advertiser_id": "1001", "custom_audience_name": f"audience {number}"}).encode()
                url = "/tiktok/open_api/v1.3/segment/audience/"
                async with side.http.post(url, data=text, headers=TIKTOK) as response:
                    side.audiences.append((await response.json())["data"]["audience_id"])

        async def upload(side: Side, body: bytes, place: int) -> Any:
            sent = body.replace(PLACEHOLDER.encode(), side.audiences[place].encode())
            return await side.ask("POST", "/tiktok/open_api/v1.3/segment/mapping/", TIKTOK, sent)

        found, bodies = await compared(sides, "tiktok", tiktok_body, upload, (0.0,) * 12 + (1.0,))
    codes = Counter(answer["code"] for *_, answer in found)
    assert min(codes[0], codes[40002]) > CASES // 5
    assert codes[40100] > 0
    assert CASES // 5 < sum(sound_mapping(body) is not None for body in bodies) < CASES


KLAVIYO = {
    "Authorization": f"Klaviyo-API-Key {CREDENTIALS['klaviyo']['KLAVIYO_API_KEY']}",
    "revision": "2026-10-15",
    "Content-Type": "application/vnd.api+json",
}


async def test_klaviyo_answers_and_holds_the_same_however_profiles_are_checked() -> None:
    async with two_sandboxes() as sides:
        jobs: dict[int, str] = {}
        for side in sides:
            for number in range(2):
                body = {"data": {"type": "list", "attributes": {"name": f"audience {number}"}}}
                text = json.dumps(body).encode()
                async with side.http.post("/klaviyo/api/lists", data=text, headers=KLAVIYO) as response:
                    side.audiences.append((await response.json())["data"]["id"])

        async def upload(side: Side, body: bytes, place: int) -> Any:
            url = "/klaviyo/api/profile-bulk-import-jobs"
            last = f"{url}/{jobs.get(id(side), 'none')}"
            shown = [await side.ask("GET", last + more, KLAVIYO) for more in ("", "/import-errors")]
            sent = body.replace(PLACEHOLDER.encode(), side.audiences[place].encode())
            async with side.http.post(url, data=sent, headers=KLAVIYO) as response:
                text = await response.text()
            if response.status == 202:
                jobs[id(side)] = json.loads(text)["data"]["id"]
            return [response.status, text if response.status == 500 else json.loads(text), shown]

        found, bodies = await compared(sides, "klaviyo", klaviyo_body, upload)
    statuses = Counter(status for status, *_ in found)
    assert min(statuses[202], statuses[400]) > CASES // 5
    assert CASES // 5 < sum(sound_import(body) is not None for body in bodies) < CASES


@pytest.mark.parametrize("cells", [[HASH], [HASH, hashed("x")], [HASH] * 300, []])
def test_hashes_are_known_as_such_all_at_once(cells: list[str]) -> None:
    assert are_hashes(cells, SHA256)
    assert are_hashes([cell[:MD5] for cell in cells], MD5)


@pytest.mark.parametrize(
    "cells",
    [
        ["", HASH], [HASH[:-1], HASH + "0"], [HASH + "," + HASH], [HASH.upper()], [HASH[:-1] + "é"], [HASH[:-1] + ","],
        [HASH[:-1] + "\n"], ["," * 64], [""], [HASH[:63], "," + HASH[:63], HASH[:1]], [HASH, HASH[:63] + "٣"],
    ],
)  # fmt: skip
def test_what_is_no_hash_is_found_among_all(cells: list[str]) -> None:
    assert not are_hashes(cells, SHA256)


def meta_upload(rows: Sequence[object], schema: Sequence[str] = ("EMAIL",)) -> bytes:
    """Return an upload of these rows to Meta."""
    session = {"session_id": 1, "batch_seq": 1, "last_batch_flag": True}
    return json.dumps({"payload": {"schema": schema, "data": rows}, "session": session}).encode()


@pytest.mark.parametrize("place", [0, PART - 1, PART, 2 * PART])
def test_one_row_that_is_wrong_leaves_the_upload_to_the_way_by_rows(place: int) -> None:
    rows: list[list[object]] = [[hashed(str(number))] for number in range(2 * PART + 1)]
    assert sound_upload(meta_upload(rows)) is not None
    for wrong in ([HASH.upper()], [""], [1], [HASH, HASH], [], None):
        changed = [*rows[:place], wrong, *rows[place + 1 :]]
        assert sound_upload(meta_upload(changed)) is None


def test_no_more_rows_are_taken_in_bulk_than_the_platforms_take() -> None:
    assert sound_upload(meta_upload([[HASH]] * 10_000)) is not None
    assert sound_upload(meta_upload([[HASH]] * 10_001)) is None
    cell = {"id": HASH, "audience_ids": ["1"]}
    mapping = {"advertiser_ids": ["1"], "id_schema": ["EMAIL_SHA256"], "batch_data": [[cell]] * 1000}
    assert sound_mapping(json.dumps(mapping).encode()) is not None
    mapping["batch_data"] = [[cell]] * 1001
    assert sound_mapping(json.dumps(mapping).encode()) is None
    profile = {"type": "profile", "attributes": {"email": "ada@example.com"}}
    assert sound_import(an_import([profile] * 10_000)) is not None
    assert sound_import(an_import([profile] * 10_001)) is None


def an_import(profiles: Sequence[object]) -> bytes:
    """Return an import of these profiles to Klaviyo."""
    attributes = {"profiles": {"data": profiles}}
    return json.dumps({"data": {"type": "profile-bulk-import-job", "attributes": attributes}}).encode()
