"""What an upload is to do with its users: who was to leave is never added, whatever a client made of `mode`."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from world import World, make_form, make_users, world
from yarl import URL

from streams.client.settings import KafkaSettings
from streams.read.tail import end_offsets


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(kafka: KafkaSettings) -> AsyncIterator[World]:
    async with world(kafka, "test-mode", providers=["facebook"], consuming=()) as found:
        yield found


async def answer(server: World, query: str, part: str | None = None) -> tuple[int, list[str]]:
    """Return how an upload with this query is answered, and with which errors."""
    form = make_form(make_users(1))
    if part is not None:
        form.add_field(part, "remove")
    url = URL(f"{server.url}/audience{query}", encoded=True)
    async with server.session.post(url, data=form) as response:
        return response.status, (await response.json()).get("errors", [])


async def records(server: World) -> int:
    return sum(await end_offsets(server.kafka, server.names.batches))


@pytest.mark.asyncio(loop_scope="module")
async def test_add_is_what_is_done_without_a_mode(server: World) -> None:
    before = await records(server)
    assert await answer(server, "?mode=add") == (200, [])
    assert await records(server) == before + 1


@pytest.mark.asyncio(loop_scope="module")
async def test_remove_is_refused_whole_as_no_account_knows_it_yet(server: World) -> None:
    before = await records(server)
    status, errors = await answer(server, "?mode=remove")
    assert (status, len(errors)) == (503, 1)
    assert "nobody was added or removed" in errors[0]
    assert await records(server) == before


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?mode=", "mode: send add or remove"),
        ("?mode=REMOVE", "mode: send add or remove"),
        ("?mode=delete", "mode: send add or remove"),
        ("?mode=remove&mode=add", "mode: send it once"),
        ("?Mode=remove", "Mode: send mode"),
        ("?mode[]=remove", "mode[]: send mode"),
        ("?moed=remove", "moed: send mode"),
        ("?mod=remvoe", "mod: send mode"),
        ("?code=remove", "code: send mode"),
        ("?mode%3Dremove", "mode: it stands within another name or value of the query; send ?mode=remove"),
        ("?filter[mode]=remove", "mode: it stands within another name or value of the query; send ?mode=remove"),
        ("?a=1;mode=remove", "mode: it stands within another name or value of the query; send ?mode=remove"),
        ("?sync=false%26mode=remove", "mode: it stands within another name or value of the query; send ?mode=remove"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_mode_that_is_almost_right_adds_nobody(server: World, query: str, told: str) -> None:
    before = await records(server)
    status, errors = await answer(server, query)
    assert status == 400
    assert told in errors
    assert await records(server) == before


@pytest.mark.parametrize("part", ["mode", "Mode", "mode[]"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_mode_as_a_part_adds_nobody(server: World, part: str) -> None:
    assert await answer(server, "", part) == (400, ["mode: it came as a part; send it in the query"])


@pytest.mark.parametrize("query", ["?code=7", "?model=gpt", "?node=a", "?mod=1", "?modern=remove", "?move=north"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_word_that_is_near_mode_by_chance_is_ignored_as_before(server: World, query: str) -> None:
    assert await answer(server, query) == (200, [])
