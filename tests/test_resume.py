"""Uploads that are resumed, however long after: what stands is not written again, and what is missing fills its run."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import FormData
from test_ledger import get, known, ledger, node, receipts, remove_view, two_nodes, until_ready
from test_mode import knowing
from world import World, make_batch, make_form, make_users, world

from ledger.view import View
from producer.server import serving
from producer.settings import ServerSettings
from schemas.avro.framing import Framing
from schemas.records import RESUMED
from schemas.target import parse_target
from streams.client.settings import KafkaSettings
from streams.cluster.cluster_id import cluster_id
from streams.read.tail import read_to_end

SHORT = {"AUDIENCE_RETRY_WINDOW": 0.3}
"""A window that is over in a moment."""

Answer = tuple[int, Any, str | None]
"""Status, body and batch id."""


async def resume(
    found: World, sequence: int, url: str = "", query: str = "resume=true", *, start: int = 0, **batch: object
) -> Answer:
    """Send a batch of ten of a session of two to a node, as one that resumes it does."""
    place = make_batch(**{"sessionId": 7, "sequence": sequence, "totalBatches": 2, "totalUsers": 20, **batch})
    users = make_users(10, start + 10 * sequence)
    return await send(found, url, query, lambda: make_form(users, batch=place))


async def send(found: World, url: str, query: str, form: Callable[[], FormData]) -> Answer:
    """Send a form to a node, again where that is to read a moment later that all know removals."""
    async with asyncio.timeout(30):
        while True:
            async with found.session.post(f"{url or found.url}/audience?{query}", data=form()) as response:
                body = await response.json()
                if response.status != 503 or "not know removals yet" not in str(body):
                    return response.status, body, response.headers.get("X-Batch-Id")
            await asyncio.sleep(0.05)


async def runs(found: World, url: str = "", query: str = "") -> list[tuple[str, list[int], list[str | None]]]:
    """Return state, missing sequences and marks of each run of the session, the oldest first."""
    _, told = await get(found, f"/audience/sessions/7{query}", url)
    return [(run["state"], run["missing"], [one["mark"] for one in run["batches"]]) for run in reversed(told["runs"])]


async def written(found: World) -> int:
    """Return how many records the log has."""
    return len(await read_to_end(found.kafka, found.names.batches))


async def after_the_window(found: World) -> None:
    """Let the window be over by Kafka's clock."""
    assert SHORT["AUDIENCE_RETRY_WINDOW"] < 0.5
    await asyncio.sleep(0.5)


@asynccontextmanager
async def short(kafka: KafkaSettings, prefix: str, **options: Any) -> AsyncIterator[World]:
    """Run the product for Facebook with a short window and a ledger."""
    async with world(kafka, prefix, providers=["facebook"], settings=SHORT, **options) as found, ledger(found):
        yield found


async def test_after_the_window_what_stands_is_not_written_again_and_what_is_missing_fills_the_run(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """On two nodes, of which the other is asked for each batch."""
    async with two_nodes(kafka, topic_prefix, tmp_path, SHORT, **SHORT) as (found, other):
        _, _, first = await resume(found, 1)
        assert first
        await known(found, first, other)
        await after_the_window(found)
        for url in (found.url, other):
            assert await resume(found, 1, url) == (200, {"success": True}, first)
        assert await written(found) == 1
        status, _, second = await resume(found, 2, other)
        assert (status, second != first) == (200, True)
        await receipts(found, 2)
        for url in (found.url, other):
            async with asyncio.timeout(20):
                while await runs(found, url) != [("delivered", [], [None, "late"])]:
                    await asyncio.sleep(0.1)
        for sequence, batch_id in ((1, first), (2, second)):
            assert await resume(found, sequence, other) == (200, {"success": True}, batch_id)
        assert await written(found) == 2


async def test_other_content_is_refused_however_long_after_and_nothing_is_written(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with short(kafka, topic_prefix, consuming=()) as found:
        _, _, first = await resume(found, 1)
        await after_the_window(found)
        status, body, batch_id = await resume(found, 1, start=500)
        assert (status, batch_id) == (409, first)
        assert "differs in users" in body["errors"][0]
        status, body, _ = await resume(found, 1, totalUsers=21)
        assert (status, "differs in totalUsers" in body["errors"][0]) == (409, True)
        status, body, batch_id = await resume(found, 2, totalBatches=3, totalUsers=30)
        assert (status, batch_id) == (409, first)
        assert body["errors"][0].startswith(
            "batch.totalBatches, batch.totalUsers: the newest run of this session names"
        )
        assert (await resume(found, 2))[0] == 200
        status, body, _ = await resume(found, 0)
        assert (status, body["errors"][0].partition(";")[0].partition(",")[0]) == (
            409,
            "batch.sequence: the newest run of this session lacks no sequence",
        )
        assert await written(found) == 2


async def test_without_resume_a_sequence_that_comes_after_the_window_begins_a_new_run_which_is_then_resumed(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with short(kafka, topic_prefix, consuming=()) as found:
        for sequence in (1, 2):
            assert (await resume(found, sequence))[0] == 200
        await after_the_window(found)
        _, _, again = await resume(found, 1, query="resume=false")
        assert [missing for _, missing, _ in await runs(found)] == [[], [2]]
        await after_the_window(found)
        assert (await resume(found, 1))[2] == again
        assert (await resume(found, 2))[0] == 200
        assert [missing for _, missing, _ in await runs(found)] == [[], []]
        assert await written(found) == 4


async def test_a_batch_that_failed_is_written_again_and_stays_in_its_run(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with short(kafka, topic_prefix) as found:
        await found.inject(provider="facebook", fault="invalid", operation="upload", untilCleared=True)
        status, _, failed = await resume(found, 1, query="resume=true&sync=true")
        assert status == 400
        await found.clear_faults()
        await after_the_window(found)
        status, _, again = await resume(found, 1, query="resume=true&sync=true")
        assert (status, again != failed) == (200, True)
        assert (await resume(found, 1))[2] == again
        assert [marks for _, _, marks in await runs(found)] == [[None, "repeated"]]


async def test_the_same_at_the_same_moment_is_written_once_and_the_others_beside_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with short(kafka, topic_prefix, consuming=()) as found:
        told = await asyncio.gather(*(resume(found, sequence) for sequence in (1, 2) * 4))
        assert {status for status, _, _ in told} == {200}
        assert len({batch_id for _, _, batch_id in told}) == 2
        assert await written(found) == 2


async def test_what_stands_before_something_of_the_other_mode_is_not_written_behind_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with knowing(kafka, topic_prefix) as found:
        _, _, first = await resume(found, 1)
        form = partial(make_form, make_users(1, 10), batch=make_batch(sessionId=8))
        status, _, _ = await send(found, "", "mode=remove", form)
        assert status == 200
        assert await resume(found, 1) == (200, {"success": True}, first)
        assert (await resume(found, 2))[0] == 200
        assert [missing for _, missing, _ in await runs(found)] == [[]]
        assert await written(found) == 3
        _, _, again = await resume(found, 1, query="")
        assert again != first, "who does not resume adds them again"


async def test_a_session_s_removals_are_resumed_as_its_additions_are(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with knowing(kafka, topic_prefix) as found:
        _, _, added = await resume(found, 1)
        _, _, removed = await resume(found, 1, query="resume=true&mode=remove")
        assert removed != added
        for query, batch_id in (("resume=true", added), ("resume=true&mode=remove", removed)):
            assert (await resume(found, 1, query=query))[2] == batch_id
        assert await written(found) == 2


@contextlib.contextmanager
def held(file: Path) -> Iterator[None]:
    """Let nobody else write to a view while the block is entered."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as hold:
        hold.execute("BEGIN IMMEDIATE")
        yield
        hold.execute("ROLLBACK")


async def test_while_a_view_is_being_built_a_resumed_batch_comes_again_later_and_begins_no_run(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "b.sqlite"
    async with short(kafka, topic_prefix, consuming=()) as found, contextlib.AsyncExitStack() as stack:
        _, _, first = await resume(found, 1)
        await receipts(found, 1)
        view = View(file, f"{await cluster_id(kafka)}/{topic_prefix}", found.names.batches)
        view.open()
        view.close()
        chosen = ServerSettings.model_validate({"AUDIENCE_LISTEN": "127.0.0.1:0", **SHORT})
        with held(file):
            serve = serving(chosen, kafka, [parse_target("facebook")], found.names, Framing(), file)
            url = f"http://{(await stack.enter_async_context(serve)).address}"
            status, body, _ = await resume(found, 1, url)
            assert (status, body["errors"]) == (
                503,
                ["resume: the view is being built, 0% is done; nothing was accepted, send the request again"],
            )
        await until_ready(found, url)
        assert await resume(found, 1, url) == (200, {"success": True}, first)
        assert await written(found) == 1


async def test_while_a_view_is_away_a_resumed_batch_comes_again_later(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "small" / "view.sqlite"
    async with short(kafka, topic_prefix, consuming=()) as found, node(found, file, "facebook", **SHORT) as url:
        _, _, first = await resume(found, 1, url)
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as harm:
            harm.execute("ALTER TABLE records RENAME TO elsewhere")
        status, body, _ = await resume(found, 1, url)
        assert (status, body["errors"][0].startswith("resume: the view is away (no such table")) == (503, True)
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as harm:
            harm.execute("ALTER TABLE elsewhere RENAME TO records")
        async with asyncio.timeout(30):
            while (told := await resume(found, 1, url))[0] == 503:
                await asyncio.sleep(0.1)
        assert told == (200, {"success": True}, first)
        assert await written(found) == 1


async def test_a_session_is_resumed_after_the_view_was_deleted(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "b.sqlite"
    async with short(kafka, topic_prefix, consuming=()) as found:
        async with node(found, file, "facebook", **SHORT) as url:
            _, _, first = await resume(found, 1, url)
            await receipts(found, 1)
        remove_view(file)
        async with node(found, file, "facebook", **SHORT) as url:
            assert await resume(found, 1, url) == (200, {"success": True}, first)
            assert (await resume(found, 2, url))[0] == 200
            assert [missing for _, missing, _ in await runs(found, url)] == [[]]
        assert await written(found) == 2


async def test_what_two_nodes_wrote_that_know_nothing_of_each_other_is_one_run(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """Without a ledger no node knows what another has written; it comes later, and tells them."""
    async with (
        world(kafka, topic_prefix, providers=["facebook"], consuming=(), settings=SHORT) as found,
        node(found, tmp_path / "b.sqlite", "facebook", **SHORT) as other,
    ):
        for url in (found.url, other):
            for sequence in (1, 2):
                assert (await resume(found, sequence, url))[0] == 200
                await after_the_window(found)
        async with ledger(found):
            await receipts(found, 4)
            for url in (found.url, other):
                async with asyncio.timeout(20):
                    while [told[1:] for told in await runs(found, url)] != [
                        ([], [None, "late", "repeated", "repeated"])
                    ]:
                        await asyncio.sleep(0.1)


async def test_a_record_says_that_it_was_resumed(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with short(kafka, topic_prefix, consuming=()) as found:
        for sequence, query in ((1, "resume=true"), (2, "")):
            await resume(found, sequence, query=query)
        assert {one.sequence: one.source for one in await receipts(found, 2)} == {1: RESUMED, 2: "http"}


@pytest.mark.parametrize("name", ["Resume", "resumes", "resum", "resume[]", "resumed"])
async def test_a_name_that_is_almost_resume_or_a_value_that_is_none_is_refused(
    kafka: KafkaSettings, topic_prefix: str, name: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        for query, named in ((f"{name}=true", name), ("resume=yes", "resume"), ("resume=1&resume=1", "resume")):
            status, body, _ = await resume(found, 1, query=query)
            assert (status, named in body["errors"][0]) == (400, True)
        assert await written(found) == 0


async def test_one_of_several_audiences_under_an_id_is_asked_for(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with knowing(kafka, topic_prefix) as found:
        for name, query in (("VIP", ""), ("VIP", "mode=remove"), ("Guests & Co", "")):
            form = partial(make_form, make_users(2), name=name, batch=make_batch(sessionId=7))
            status, _, _ = await send(found, "", query, form)
            assert status == 200

        async def asked(query: str) -> list[tuple[str, str]]:
            _, told = await get(found, f"/audience/sessions/7?{query}")
            return [(run["name"], run["mode"]) for run in told["runs"]]

        assert len(await asked("")) == 3
        assert await asked("name=VIP&type=custom&mode=add") == [("VIP", "add")]
        assert await asked("mode=remove") == [("VIP", "remove")]
        assert await asked("name=Guests%20%26%20Co") == [("Guests & Co", "add")]
        assert (await get(found, "/audience/sessions/7?type=primary"))[0] == 404
        assert (await get(found, "/audience/sessions/7/rejected?name=Nobody"))[0] == 404
        assert (await get(found, "/audience/sessions/7/rejected?name=VIP&mode=add"))[0] == 200
        for query in ("mode=gone", "type=odd", "Name=VIP", "nam=VIP", "mod=add", "mode=add&mode=add", "code=7"):
            status, body = await get(found, f"/audience/sessions/7?{query}")
            assert (status, body["errors"][0].partition(":")[0]) == (400, query.partition("=")[0])
