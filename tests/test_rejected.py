"""Who was rejected, in a form that people who mend lists can work with."""

import asyncio
import csv
import io
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_cli import audience
from test_ledger import get
from test_replay import recorded, replay, settings
from world import World, make_topics, make_users

from cli.rejected.edge_tag_ids import edge_tag_ids
from cli.settings.config import load
from cli.settings.environment import Environment
from ledger.receipts import receipt_of
from ledger.rejected_csv import guarded
from ledger.resources import UserRejection
from schemas.avro.codec import encode_audience_batch, encode_batch_receipt
from schemas.records import AudienceBatch, AudienceUser, Origin
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.write.writer import Writer


def broken_users(count: int) -> list[dict[str, object]]:
    """Return users that nobody can use."""
    return [{"email": "nobody"} for _ in range(count)]


async def csv_of(found: World, path: str) -> tuple[list[list[str]], dict[str, str]]:
    """Return the rows of a page of CSV, and its headers."""
    async with found.session.get(f"{found.url}{path}") as response:
        text = await response.text()
        assert (response.status, response.content_type) == (200, "text/csv"), text
        return list(csv.reader(io.StringIO(text))), dict(response.headers)


@pytest.mark.parametrize("cell", ["=1+1", "+491", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_takes_for_a_formula_is_guarded(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"
    assert guarded(f"a{cell}") == f"a{cell}"


async def test_rejected_users_are_paged_as_csv_and_json_alike_and_never_show_a_value(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with recorded(kafka, topic_prefix, providers=["facebook", "klaviyo"]) as found:
        users = [*make_users(2), *broken_users(5)]
        _, _, headers = await found.upload(users, "?sync=true")
        path, batch_id = f"{headers['Location']}/rejected", headers["X-Batch-Id"]
        _, whole = await get(found, path)
        assert (len(whole["rejected"]), whole["unlisted"], whole["next"]) == (10, 0, None)
        rows, headers = await csv_of(found, f"{path}?format=csv&limit=4")
        assert rows[0] == ["batchId", "part", "account", "index", "field", "reason", "remedy"]
        assert rows[1] == [batch_id, "1", "facebook", "2", "email", "not_an_email", "Correct it."]
        assert headers["X-Unlisted-Count"] == "0"
        found_rows, cursor = rows[1:], headers.get("X-Next-Cursor")
        while cursor:
            rows, headers = await csv_of(found, f"{path}?format=csv&limit=4&cursor={cursor}")
            found_rows, cursor = found_rows + rows[1:], headers.get("X-Next-Cursor")
        assert [(row[2], int(row[3])) for row in found_rows] == [
            (told["provider"], told["index"]) for told in whole["rejected"]
        ]
        _, of_session = await get(found, "/audience/sessions/1/rejected?limit=3")
        assert of_session["rejected"] == whole["rejected"][:3]
        assert of_session["next"]
        for wrong in ("format=xml", "limit=0", "cursor=e30", "cursor=WzFd", "limit=10001"):
            status, body = await get(found, f"{path}?{wrong}")
            assert (status, body["errors"][0].partition(":")[0]) == (400, wrong.partition("=")[0])


async def test_rejections_beyond_those_that_completions_list_are_counted(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with recorded(kafka, topic_prefix, providers=["facebook"]) as found:
        _, _, headers = await found.upload(broken_users(1_300), "?sync=true")
        path = f"{headers['Location']}/rejected"
        _, first = await get(found, path)
        assert (len(first["rejected"]), first["unlisted"], first["next"]) == (1_000, 300, None)
        rows, told = await csv_of(found, f"{path}?format=csv&limit=10000")
        assert (len(rows), told["X-Unlisted-Count"]) == (1_001, "300")


async def test_the_command_lists_them_for_a_spreadsheet_with_ids_from_the_log(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix, providers=["tiktok"]) as found:
        ids = [{"email": "nobody", "edgeTagId": f"=id-{number}"} for number in range(2)]
        users = [*make_users(1), *ids]  # TikTok is sent no such ids
        _, _, headers = await found.upload(users, "?sync=true")
        mine: dict[str, Any] = settings(found, ["tiktok"], AUDIENCE_LISTEN=found.url.removeprefix("http://"))
        code, output, errors = await audience(tmp_path, "rejected", "1", "--csv", "--with-ids", **mine)
        rows = list(csv.reader(io.StringIO(output)))
        assert (code, rows[0][-1], [row[-1] for row in rows[1:]]) == (0, "edgeTagId", ["'=id-0", "'=id-1"]), errors
        assert errors.endswith("2 rejections are listed.\n")
        code, output, _ = await audience(tmp_path, "rejected", headers["X-Batch-Id"], **mine)
        assert (code, output.count("not_an_email"), "id-0" in output) == (0, 2, False)


def rejected_at(batch_id: str, index: int) -> UserRejection:
    """Return somebody rejected, as status tells it."""
    return UserRejection(
        batch_id=batch_id, part=1, provider="facebook", account=None, replay_id=None, index=index, field="email",
        reason="not_an_email", remedy="Correct it.",
    )  # fmt: skip


async def test_ids_are_only_those_of_users_of_the_batch_in_the_log_that_there_is(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    names = await make_topics(kafka, topic_prefix)
    values = {"AUDIENCE_TOPIC_PREFIX": topic_prefix, "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers}
    config = load(Environment(values, dict.fromkeys(values, "environment")))
    batch, other = (
        AudienceBatch(batch_id=str(uuid.uuid4()), name="VIP", users=[AudienceUser(edge_tag_id=text)])
        for text in ("ours", "another's")
    )
    told = [rejected_at(batch.batch_id, index) for index in (0, 1, -1)]
    async with Writer(kafka) as writer:
        here, there = [
            await writer.send(names.batches, each.key, encode_audience_batch(each)) for each in (batch, other)
        ]

        async def note(origin: Origin, log: str | None) -> None:
            receipt = receipt_of(batch, 1, origin, datetime.now(UTC), None, is_home=None)
            value = encode_batch_receipt(msgspec.structs.replace(receipt, log_id=log))
            await writer.send(names.receipts, receipt.key, value)

        await note(here, await log_id(kafka, names.batches))
        await note(there, "of a log that was deleted")
        warnings: list[str] = []
        assert await edge_tag_ids(told, config, warnings.append) == {(batch.batch_id, 0): "ours"}
        assert warnings[-1].endswith("2 rejected users do not stand in it.")

        await note(there, None)
        assert await edge_tag_ids(told, config, warnings.append) == {}
        assert warnings[-1].endswith("Another batch stands where its receipt says.")


async def test_who_was_mended_by_a_replay_is_not_listed_any_more(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix, providers=["facebook"]) as found:
        await found.inject(provider="facebook", fault="partial")
        _, _, headers = await found.upload([*make_users(4), *broken_users(1)], "?sync=true")
        path = f"{headers['Location']}/rejected"
        _, told = await get(found, path)
        assert len(told["rejected"]) + told["unlisted"] == 2
        code, _, errors = await replay(tmp_path, found, "--only", "rejected", "--yes")
        assert code == 0, errors
        async with asyncio.timeout(20):
            while len((await get(found, path))[1]["rejected"]) + (await get(found, path))[1]["unlisted"] != 1:
                await asyncio.sleep(0.1)
        (left,) = (await get(found, path))[1]["rejected"]
        assert (left["index"], left["replayId"] is not None) == (4, True)
        _, told = await get(found, headers["Location"])
        assert (told["state"], told["targets"][0]["users"]["accepted"]) == ("partial", 4)
