"""`GET /events`: what listeners are told of changes, live, again after an interruption, and how streams end."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_ledger import get, ledger, node, send
from world import World, make_users, world

from producer.events import service
from producer.events.change_log import Change, ChangeLog
from producer.events.event_filter import FIELDS, read_filter
from producer.events.selection import MOST_AT_ONCE, Changes, Subject
from schemas.avro.framing import SINGLE_OBJECT
from schemas.records import AccountLoss
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.tables.account_states import write_loss
from streams.write.writer import Writer


@dataclass(slots=True)
class Stream:
    """A stream as a client reads it."""

    response: aiohttp.ClientResponse
    last_id: str = ""
    comments: list[str] = field(default_factory=list)

    async def events(self) -> AsyncGenerator[tuple[str, Any], None]:
        """Yield kind and data of each event, until the stream ends."""
        fields: dict[str, str] = {}
        async for line in self.response.content:
            text = line.decode().rstrip("\n")
            if text.startswith(":"):
                self.comments.append(text)
            elif text:
                name, _, value = text.partition(": ")
                fields[name] = value
            else:
                self.last_id = fields.get("id", self.last_id)
                if "data" in fields:
                    yield fields["event"], json.loads(fields["data"])
                fields = {}

    async def until(self, kind: str, **wanted: object) -> tuple[Any, list[tuple[str, Any]]]:
        """Return the first event of a kind with such data, and all before it."""
        before: list[tuple[str, Any]] = []
        async with asyncio.timeout(30), aclosing(self.events()) as events:
            async for found, data in events:
                if found == kind and all(data[name] == value for name, value in wanted.items()):
                    return data, before
                before.append((found, data))
        raise AssertionError(f"the stream ended behind {before}")

    async def first_id(self) -> str:
        """Return the id that comes before any event."""
        async with asyncio.timeout(30):
            while not (line := await self.response.content.readline()).startswith(b"id: "):
                assert line
        self.last_id = line.decode().removeprefix("id: ").strip()
        return self.last_id


@asynccontextmanager
async def listening(found: World, query: str = "", last: str | None = None, url: str = "") -> AsyncIterator[Stream]:
    """Listen while the block is entered."""
    headers = {} if last is None else {"Last-Event-ID": last}
    async with found.session.get(f"{url or found.url}/events{query}", headers=headers) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)


async def test_who_listens_to_a_session_sees_it_and_its_batches_change_live_and_nothing_of_others(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with (
        world(kafka, topic_prefix, providers=["facebook", "klaviyo"]) as found,
        listening(found, "?session=7.0") as seven,
        listening(found, "?session=8&kind=session") as eight,
    ):
        _, sent = await send(found, [*make_users(2), {"email": "nobody"}], sessionId=7, totalUsers=3)
        session, before = await seven.until("session", state="partial")
        assert (session["name"], session["users"], session["targets"]) == (
            "VIP", 3, {"facebook": "partial", "klaviyo": "partial"},
        )  # fmt: skip
        batches = [data for kind, data in before if kind == "batch"]
        assert {batch["batchId"] for batch in batches} == {sent["batchId"]}
        one = next(target for target in batches[-1]["targets"] if target["provider"] == "facebook")
        assert one == {
            "provider": "facebook", "account": None, "state": "partial", "sent": 2, "accepted": 2, "rejected": 1,
            "error": None,
        }  # fmt: skip
        await send(found, make_users(2), sessionId=8)
        session, before = await eight.until("session", state="delivered")
        assert {data["sessionId"] for _, data in before} <= {"8"}
        assert "example.com" not in json.dumps([session, before, batches])


async def test_who_comes_again_with_the_last_id_is_told_what_changed_meanwhile_and_no_more(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"]) as found:
        async with listening(found) as stream:
            await send(found, make_users(2), sessionId=1)
            await stream.until("session", state="delivered")
            _, newest = await send(found, make_users(2), sessionId=2)
            await stream.until("session", state="delivered", sessionId="2")
            last = stream.last_id
        sent = [(await send(found, make_users(2), sessionId=number))[1]["batchId"] for number in (3, 4)]
        for batch_id in sent:
            await get(found, f"/audience/batches/{batch_id}?wait=20")
        heard = {newest["batchId"]}  # its receipt may have come after its end: that is told, too
        async with listening(found, "?kind=batch", last=last) as stream:
            while not heard >= set(sent):
                heard.add((await stream.until("batch"))[0]["batchId"])
        assert heard == {newest["batchId"], *sent}


async def test_an_id_of_another_node_or_one_that_is_too_old_begins_with_a_reset_from_which_one_goes_on(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "KEPT", 2)
    async with (
        world(kafka, topic_prefix, consuming=[]) as found,
        node(found, tmp_path / "b.sqlite", "facebook") as other,
    ):
        async with listening(found) as stream:
            first = await stream.first_id()
        async with listening(found, last=first, url=other) as stream:
            assert (await stream.until("reset"))[0] == {"reason": "foreign"}
            assert stream.last_id.rpartition("-")[0] != first.rpartition("-")[0]
        async with listening(found, "?kind=batch") as stream:
            for number in range(4):
                _, sent = await send(found, make_users(1), sessionId=number, totalUsers=1)
                await stream.until("batch", batchId=sent["batchId"])
        async with listening(found, "?kind=batch", last=first) as stream:
            assert (await stream.until("reset"))[0] == {"reason": "too_old"}
            _, sent = await send(found, make_users(1), sessionId=9, totalUsers=1)
            assert (await stream.until("batch", batchId=sent["batchId"]))[1] == []


async def test_who_does_not_read_is_closed_while_others_go_on_and_can_come_again_without_a_gap(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, consuming=[]) as found, listening(found, "?kind=batch") as reading:
        slow = connect(found.url)
        slow.sendall(b"GET /events?kind=batch HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sent: list[str] = []
        while len(sent) < 400:
            names = [f"{number:04} {'語' * 245}" for number in range(len(sent), len(sent) + 40)]
            some = await asyncio.gather(*(send(found, make_users(1), name=name, totalUsers=1) for name in names))
            sent += [body["batchId"] for _, body in some]
            await all_of(reading, sent[-40:])
        came = (await asyncio.to_thread(read_all, slow)).decode(errors="replace")
        assert not came.endswith("0\r\n\r\n")
        whole = re.findall(r"id: (\S+)\nevent: batch\ndata: (\{.*\})\n\n", came)
        known, last = {json.loads(data)["batchId"] for _, data in whole}, whole[-1][0]
        assert known < set(sent)
        async with listening(found, "?kind=batch", last=last) as again:
            await all_of(again, set(sent) - known)


async def test_after_the_view_was_away_who_listens_is_sent_to_ask_anew_and_then_goes_on(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with (
        world(kafka, topic_prefix, providers=["facebook"], consuming=[]) as found,
        ledger(found),
        node(found, tmp_path / "b.sqlite", "facebook") as url,
        listening(found, "?kind=batch", url=url) as stream,
    ):
        await send(found, make_users(1), url, totalUsers=1)
        await stream.until("batch")
        before = stream.last_id.partition("-")[0]
        for name in ("b.sqlite", "b.sqlite-wal"):
            (tmp_path / name).write_bytes(b"no database" * 10_000)
        assert (await send(found, make_users(1), url, sessionId=2, totalUsers=1))[0] == 200
        assert (await stream.until("reset"))[0] == {"reason": "too_old"}
        assert stream.last_id.partition("-")[0] != before
        _, sent = await send(found, make_users(1), url, sessionId=3, totalUsers=1)
        await stream.until("batch", batchId=sent["batchId"])


async def all_of(stream: Stream, batch_ids: "Sequence[str] | set[str]") -> None:
    """Return when events of all these batches have come."""
    left = set(batch_ids)
    while left:
        left.discard((await stream.until("batch"))[0]["batchId"])


def connect(url: str) -> socket.socket:
    """Return a connection with next to no room for what is not read."""
    host, _, port = url.removeprefix("http://").partition(":")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.settimeout(30)
    slow.connect((host, int(port)))
    return slow


def read_all(slow: socket.socket) -> bytes:
    """Return what had come before the connection was closed."""
    came = b""
    with slow:
        try:
            while chunk := slow.recv(65536):
                came += chunk
        except ConnectionResetError:
            pass
    return came


async def test_a_stream_lives_by_heartbeats_tells_proxies_not_to_hold_it_back_and_needs_a_token(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    settings = {"AUDIENCE_EVENT_HEARTBEAT": 0.05, "AUDIENCE_API_TOKENS": "one"}
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=[], settings=settings) as found:
        assert (await get(found, "/events"))[0] == 401
        found.session.headers["Authorization"] = "Bearer one"
        async with listening(found) as stream:
            headers = stream.response.headers
            assert (headers["Content-Type"], headers["X-Accel-Buffering"]) == ("text/event-stream", "no")
            assert headers["Cache-Control"] == "no-store, no-transform"
            async with asyncio.timeout(30):
                lines = [await stream.response.content.readline() for _ in range(12)]
            assert lines.count(b": ping\n") > 2


async def test_a_server_that_ends_ends_its_streams_in_order_and_waits_for_nobody_who_does_not_read(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(kafka, topic_prefix, consuming=[]) as found:
        async with node(found, tmp_path / "b.sqlite", "facebook") as url:
            slow = connect(url)
            slow.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            session = aiohttp.ClientSession()
            response = await session.get(f"{url}/events")
            await Stream(response).first_id()
            ending = asyncio.create_task(response.read())
        async with asyncio.timeout(5), session:
            assert b"event: reset" not in await ending
        assert (await asyncio.to_thread(read_all, slow)).endswith(b"0\r\n\r\n")


async def test_a_node_takes_so_many_listeners_and_another_once_one_has_left(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    settings = {"AUDIENCE_EVENT_LISTENERS": 1}
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=[], settings=settings) as found:
        async with listening(found) as stream:
            await stream.first_id()
            async with found.session.get(f"{found.url}/events") as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
                [why] = (await refused.json())["errors"]
                assert why.startswith("events: 1 listen here, which is the most that this server takes")
            stream.response.close()
        async with asyncio.timeout(30):
            while await status_of(found, "/events") != 200:
                await asyncio.sleep(0.05)


async def status_of(found: World, path: str) -> int:
    """Return how a request is answered."""
    async with found.session.get(f"{found.url}{path}") as response:
        return response.status


async def test_an_account_that_stops_and_records_that_it_lost_are_told_to_who_asks_for_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with (
        world(kafka, topic_prefix, providers=["facebook", "klaviyo"]) as found,
        listening(found, "?account=facebook&kind=account,loss") as stream,
        listening(found, "?account=klaviyo&kind=loss") as other,
    ):
        await found.inject(provider="facebook", fault="auth", untilCleared=True)
        await send(found, make_users(2))
        account, _ = await stream.until("account", state="blocked")
        assert (account["provider"], account["error"]["code"]) == ("facebook", "token_invalid")
        at = datetime(2030, 1, 31, tzinfo=UTC)
        losses = [
            AccountLoss(provider=name, partition=0, first_offset=3, end_offset=5, records=2, reported_at=at)
            for name in ("facebook", "klaviyo")
        ]
        async with Writer(kafka) as writer:
            for loss in losses:
                await write_loss(writer, found.names.accounts, loss, SINGLE_OBJECT)
        loss_of_facebook, _ = await stream.until("loss")
        assert loss_of_facebook == {
            "provider": "facebook", "account": None, "partition": 0, "firstOffset": 3, "endOffset": 5, "records": 2,
            "at": "2030-01-31T00:00:00Z",
        }  # fmt: skip
        loss_of_klaviyo, before = await other.until("loss")
        assert (loss_of_klaviyo["provider"], before) == ("klaviyo", [])


WRONG: Mapping[str, str] = {
    "kinds=session": "kinds: there is no such filter (did you mean kind?); there are kind, session, batch, name, type, "
    "mode, account",
    "ada%40example.com=1": "query: there is no such filter; there are kind, session, batch, name, type, mode, account",
    "kind=sessions": "kind: send one or more of session, batch, account, loss, change, each once and with commas "
    "between",
    "kind=session&kind=batch": "kind: send it once",
    "session=": "session: send a value, or leave it out",
    "type=vip": "type: send one of custom, primary",
    "account=facebook/eu": "account: send one of facebook, tiktok",
    "kind=account,batch&session=1": "session: events of kind account have none; leave one of both out",
}


@pytest.mark.parametrize("query", WRONG)
def test_a_wrong_filter_is_refused_with_what_to_send(query: str) -> None:
    pairs = [pair.partition("=") for pair in query.replace("%40", "@").split("&")]
    chosen, faults = read_filter([(name, value) for name, _, value in pairs], [Target("facebook"), Target("tiktok")])
    assert chosen is None
    assert faults[0] == WRONG[query]


def test_filters_alone_choose_the_kinds_that_have_them() -> None:
    chosen, _ = read_filter([("batch", "A")], [])
    assert chosen is not None
    assert chosen.kinds == {"batch"}
    assert chosen.batch == "a"
    chosen, _ = read_filter([], [])
    assert chosen is not None
    assert chosen.kinds == FIELDS.keys() - {"change"}


def test_of_many_changes_who_asks_for_no_more_is_told_once_that_something_did() -> None:
    changes = [(number, Change("batch", str(number))) for number in range(1, 3 * MOST_AT_ONCE)]
    chosen, _ = read_filter([("kind", "change")], [])
    assert chosen is not None
    assert (chosen.asks_for_batches, chosen.asks_for_accounts) == (False, True)  # no batch is read for it
    assert Changes(changes, {}).chosen(chosen) == ([Subject("change", "")], len(changes))


@given(keys=st.lists(st.integers(0, 12), max_size=60), most=st.integers(1, 8), known=st.integers(0, 60))
def test_who_goes_on_from_any_id_knows_each_thing_that_changed_or_is_sent_to_ask_anew(
    keys: list[int], most: int, known: int
) -> None:
    log = ChangeLog(name=lambda: "log", most=most)
    for key in keys:
        log.note(Change("batch", str(key)))
    found = log.position_of(f"log-{known}")
    if isinstance(found, str):
        assert found == ("foreign" if known > len(keys) else "too_old")
        assert known > len(keys) or len(set(keys[known:])) > most or len({*keys}) > most
    else:
        changes = log.since(found)
        assert changes is not None
        assert {change.key for _, change in changes} == set(map(str, keys[known:]))
        assert [number for number, _ in changes] == sorted({number for number, _ in changes})


@pytest.mark.parametrize("last", ["", "log", "log-", "log-x", "log--1", "log-²", "log-1000000000000", "other-1", "-1"])
def test_what_is_no_id_of_this_log_is_foreign(last: str) -> None:
    log = ChangeLog(name=lambda: "log", most=5)
    log.note(Change("batch", "a"))
    assert log.position_of(last) == "foreign"


def test_after_changes_were_missed_no_id_and_no_position_from_before_counts() -> None:
    names = iter(("first", "second"))
    log = ChangeLog(name=lambda: next(names), most=5)
    log.note(Change("batch", "a"))
    before = log.id_of(log.last)
    log.begin_anew()
    assert (log.position_of(before), log.since(1)) == ("foreign", None)
    assert log.since(log.last) == []


def test_many_things_are_told_in_several_goes_and_none_is_left_out() -> None:
    changes = [(number, Change("account", f"webhook/{number}")) for number in range(1, 3 * MOST_AT_ONCE)]
    chosen, _ = read_filter([("kind", "account")], [])
    assert chosen is not None
    told: list[object] = []
    position = 0
    while left := [one for one in changes if one[0] > position]:
        subjects, position = Changes(left, {}).chosen(chosen)
        assert len(subjects) <= MOST_AT_ONCE
        told += [subject.key for subject in subjects]
    assert told == [change.key for _, change in changes]
