"""A full or failing disk under the view: uploads go on without it, and it comes back by itself."""

import asyncio
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from test_ledger import get, ledger, node, receipts, send, until_ready
from test_view import BATCH, completion, opened, place, receipt
from world import World, make_batch, make_form, make_users, world

from ledger.view import View
from ledger.view_updater import VIEW_ERRORS
from producer.server import serving
from producer.settings import ServerSettings
from schemas.avro.framing import Framing
from schemas.target import parse_target
from streams.client.settings import KafkaSettings


@contextmanager
def no_file_grows(largest: int) -> Iterator[None]:
    """Let the kernel refuse every write of this process beyond so many bytes of a file, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def ready_text(found: World, url: str) -> tuple[int, str]:
    async with found.session.get(f"{url}/readyz") as response:
        return response.status, await response.text()


async def until_away(found: World, url: str) -> None:
    """Upload until the node says that it has no view; each upload is taken."""
    async with asyncio.timeout(30):
        number = 100
        while "the view is away" not in (await ready_text(found, url))[1]:
            number += 1
            assert (await send(found, make_users(1, number), url, sessionId=number))[0] == 200


async def until_back(found: World, url: str) -> None:
    async with asyncio.timeout(60):
        while await ready_text(found, url) != (200, "ready"):
            await asyncio.sleep(0.1)


async def test_while_the_view_s_disk_is_full_uploads_are_taken_and_it_comes_back_by_itself(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "small" / "view.sqlite"
    world_of = world(kafka, topic_prefix, providers=["facebook"])
    async with world_of as found, ledger(found), node(found, file, "facebook") as url:
        assert (await send(found, make_users(1), url, sessionId=1, totalBatches=2))[0] == 200
        with no_file_grows(file.with_name("view.sqlite-wal").stat().st_size):
            await until_away(found, url)
            status, told = await ready_text(found, url)
            assert (status, told.endswith("uploads are taken, sync and status are not")) == (200, True)
            other = await send(found, make_users(1, 50), url, sessionId=1, totalBatches=2)
            assert other[0] == 200, "without a view nobody is judged"
            status, body = await get(found, "/audience/sessions/1", url)
            assert (status, "the view is away" in body["errors"][0]) == (503, True)
            form = make_form(make_users(1, 60), batch=make_batch(sessionId=2))
            async with found.session.post(f"{url}/audience?sync=true", data=form) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "5")
                assert "nothing was accepted" in (await response.json())["errors"][0]
        await until_back(found, url)
        status, told = await get(found, f"/audience/batches/{other[1]['batchId']}?wait=20", url)
        assert (status, told["state"]) == (200, "delivered")
        form = make_form(make_users(1, 60), batch=make_batch(sessionId=2))
        async with found.session.post(f"{url}/audience?sync=true", data=form) as response:
            assert response.status == 200


async def test_a_view_that_breaks_under_a_waiting_sync_upload_answers_503_that_it_was_accepted(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "view.sqlite"
    world_of = world(kafka, topic_prefix, providers=["facebook"], consuming=[])
    async with world_of as found, ledger(found), node(found, file, "facebook") as url:
        form = make_form(make_users(1))
        waiting = asyncio.create_task(found.session.post(f"{url}/audience?sync=true", data=form))
        await receipts(found, 1)
        for name in ("view.sqlite", "view.sqlite-wal"):
            (tmp_path / name).write_bytes(b"no database" * 10_000)
        await send(found, make_users(1, 9), url, sessionId=2)
        response = await asyncio.wait_for(waiting, 20)
        errors = (await response.json())["errors"]
        assert (response.status, "sync: accepted, but the view is away" in errors[0]) == (503, True)
        assert response.headers["Location"].endswith(response.headers["X-Batch-Id"])
        await until_back(found, url)
        status, told = await get(found, response.headers["Location"], url)
        assert (status, told["state"]) == (200, "in_progress"), "built again from the topics"


async def test_a_node_starts_without_a_view_where_its_file_can_t_be_made_and_builds_it_later(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "view.sqlite"
    file.mkdir()
    chosen = ServerSettings.model_validate({"AUDIENCE_LISTEN": "127.0.0.1:0"})
    async with world(kafka, topic_prefix, providers=["facebook"]) as found, ledger(found):
        targets = [parse_target("facebook")]
        async with serving(chosen, kafka, targets, found.names, Framing(), file) as server:
            url = f"http://{server.address}"
            await until_ready(found, url)
            assert "the view is away" in (await ready_text(found, url))[1]
            status, told = await send(found, make_users(1), url)
            assert status == 200
            file.rmdir()
            await until_back(found, url)
            assert (await get(found, f"/audience/batches/{told['batchId']}?wait=20", url))[1]["state"] == "delivered"


def test_what_was_folded_before_the_disk_was_full_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    view = opened(tmp_path / "view.sqlite")
    view.fold_receipts([(receipt(1), place(1))], {1: 2}, "receipts")
    wal = (tmp_path / "view.sqlite-wal").stat().st_size
    with no_file_grows(wal):
        many = [(completion(1, "failed", 1, delivery=f"r{n}"), place(n)) for n in range(300)]
        for _ in range(2):
            with pytest.raises(VIEW_ERRORS):
                view.fold_completions(many, {1: 9}, "completions")
    view.open()
    view.check_writable()
    assert (len(view.records_of(BATCH)), view.positions("receipts"), view.positions("completions")) == (1, {1: 2}, {})
    view.close()


def test_a_disk_error_is_no_reason_to_throw_the_view_away(tmp_path: Path) -> None:
    first = opened(tmp_path / "view.sqlite")
    first.fold_receipts([(receipt(1), place(1))], {1: 2}, "receipts")
    first.close()
    again = View(tmp_path / "view.sqlite", "cluster/audience", "audience.batches")
    with no_file_grows(0), pytest.raises(sqlite3.OperationalError):
        again.open()  # even to read it needs a file of its own beside it
    again.open()
    assert again.positions("receipts") == {1: 2}
    again.close()
