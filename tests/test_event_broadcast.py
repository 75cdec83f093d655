"""How changes reach listeners within a node: rendered once, many as one event, bounded for who does not read."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from test_view import opened, receipt

from ledger.queries import Queries
from ledger.states.folding import StateFolder, StateRules
from ledger.view_updater import Following
from ledger.view_watchers import ViewWatchers
from producer.events.broadcast import Broadcast
from producer.events.change_log import Change, ChangeLog
from producer.events.event_filter import read_filter
from producer.events.heartbeats import MOMENTS, Heartbeats, Write
from producer.events.listener import MOST_BACKLOG, Listener
from producer.events.rendering import EventReader, with_ids
from schemas.avro.framing import SINGLE_OBJECT
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames

ONE, TWO = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"


@asynccontextmanager
async def broadcasting(folder: Path, most: int = 100) -> AsyncIterator[Broadcast]:
    """Broadcast what is noted while the block is entered; the view has two batches of session 7."""
    view = opened(folder / "view.sqlite")
    view.fold_receipts([(receipt(1, batch_id=ONE), None), (receipt(2, batch_id=TWO, sequence=2), None)], {}, "")
    kafka, names = KafkaSettings(bootstrap_servers="127.0.0.1:1"), TopicNames("made-up")
    states = StateFolder(view=view, rules=StateRules())
    following = Following(
        view=view, changes=ViewWatchers(), kafka=kafka, names=names, framing=SINGLE_OBJECT, states=states
    )
    queries = Queries(
        view=view,
        targets=[Target("facebook")],
        state_of=lambda _: None,
        now=lambda: datetime.now(UTC),
        window=timedelta(minutes=10),
    )
    reader = EventReader(queries=queries, accounts={}, losses_of=lambda _: ())
    broadcast = Broadcast(following=following, reader=reader, changes=ChangeLog(name=lambda: "log", most=most))
    following.changes.listen(broadcast.take)
    running = asyncio.create_task(broadcast.run())
    try:
        yield broadcast
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        view.close()


@asynccontextmanager
async def connected() -> AsyncIterator[asyncio.WriteTransport]:
    """Yield a connection to somebody who never reads."""
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        try:
            yield transport
        finally:
            transport.abort()
            await asyncio.sleep(0)  # it is closed by then


def listener(transport: asyncio.WriteTransport, **query: str) -> Listener:
    """Return a listener that knows nothing yet."""
    chosen, faults = read_filter(list(query.items()), [Target("facebook")])
    assert chosen is not None, faults
    return Listener(chosen=chosen, transport=transport, position=0, marked=0)


async def test_changes_of_a_session_within_a_moment_are_one_event_rendered_once_for_all_who_ask_for_the_same(
    tmp_path: Path,
) -> None:
    async with broadcasting(tmp_path) as broadcast, connected() as transport:
        same = [listener(transport, session="7", kind="session") for _ in range(20)]
        other = listener(transport, session="8")
        for one in (*same, other):
            broadcast.add(one)
        broadcast.following.changes.notify({ONE})
        broadcast.following.changes.notify({TWO})
        async with asyncio.timeout(30):
            chunks = [await anext(one.chunks()) for one in same]
        assert all(chunk is chunks[0] for chunk in chunks)
        assert chunks[0].count(b"event: session\n") == 1
        assert b'"users":4' in chunks[0]
        assert chunks[0].startswith(b"id: log-2\n")
        assert (other.backlog, broadcast.position) == (0, 2)


async def test_who_asks_for_changes_alone_is_told_that_something_changed_of_batches_accounts_and_losses_alike(
    tmp_path: Path,
) -> None:
    async with broadcasting(tmp_path) as broadcast, connected() as transport:
        one = listener(transport, kind="change")
        broadcast.add(one)
        chunks = one.chunks()
        told = []
        for changes in ([Change("account", "facebook")], [Change("loss", "facebook 0@1"), Change("batch", ONE)]):
            for change in changes:
                broadcast.note(change)
            async with asyncio.timeout(30):
                told.append(await anext(chunks))
        assert told == [b"id: log-1\nevent: change\ndata: {}\n\n", b"id: log-3\nevent: change\ndata: {}\n\n"]


async def test_a_listener_is_not_even_looked_at_when_what_changes_is_none_of_what_it_asks_for(tmp_path: Path) -> None:
    async with broadcasting(tmp_path) as broadcast, connected() as transport:
        names = ({"session": "8"}, {"batch": TWO}, {"name": "another"}, {"session": "8", "kind": "batch"})
        idle = [listener(transport, **query) for query in names]
        wanted = [listener(transport, **query) for query in ({"session": "7"}, {"batch": ONE}, {"name": "VIP"}, {})]
        for one in (*idle, *wanted):
            broadcast.add(one)
        broadcast.note(Change("account", "facebook"))
        async with asyncio.timeout(30):
            while broadcast.position < 1:
                await asyncio.sleep(0.01)
        assert {one.position for one in idle} == {1}  # all that have just come are
        broadcast.following.changes.notify({ONE})
        async with asyncio.timeout(30):
            chunks = [await anext(one.chunks()) for one in wanted]
        assert all(b"event: batch\n" in chunk for chunk in chunks)
        assert (broadcast.position, {one.position for one in wanted}, {one.position for one in idle}) == (2, {2}, {1})
        assert {one.backlog for one in idle} == {0}


async def test_who_comes_with_an_older_id_is_told_what_others_know_and_then_goes_on_with_them(tmp_path: Path) -> None:
    async with broadcasting(tmp_path) as broadcast, connected() as transport:
        broadcast.add(first := listener(transport, kind="batch"))
        broadcast.following.changes.notify({ONE})
        async with asyncio.timeout(30):
            assert (await anext(first.chunks())).count(b"event: batch\n") == 1
            broadcast.add(later := listener(transport, kind="batch"))
            assert (await anext(later.chunks())).count(b"event: batch\n") == 1
            broadcast.following.changes.notify({TWO})
            both = [await anext(one.chunks()) for one in (first, later)]
        assert both[0] is both[1]
        assert both[0].count(b"event: batch\n") == 1


async def test_signs_of_life_come_to_all_in_turn_and_let_those_go_whose_connection_is_closed() -> None:
    came: list[int] = []

    def write(number: int) -> Write:
        async def note(data: bytes) -> None:
            assert data == b": ping\n\n"
            came.append(number)

        return note

    heartbeats = Heartbeats(every=0.05)
    async with connected() as transport, connected() as closed:
        with ExitStack() as stack:
            for number in range(3 * MOMENTS):
                stack.enter_context(heartbeats.beating(listener(transport), write(number)))
            stack.enter_context(heartbeats.beating(gone := listener(closed), write(-1)))
            closed.abort()
            running = asyncio.create_task(heartbeats.run())
            async with asyncio.timeout(30):
                while len(came) < 6 * MOMENTS:
                    await asyncio.sleep(0.01)
            running.cancel()
        assert sorted(came[: 3 * MOMENTS]) == sorted(came[3 * MOMENTS : 6 * MOMENTS]) == list(range(3 * MOMENTS))
        assert came[:3] == [0, MOMENTS, 2 * MOMENTS]  # those that came at once are sent it at different moments
        assert gone.is_over


async def test_who_is_told_nothing_for_long_gets_the_newest_id_and_can_go_on_from_it(tmp_path: Path) -> None:
    async with broadcasting(tmp_path, most=4) as broadcast, connected() as transport:
        broadcast.add(idle := listener(transport, session="8"))
        broadcast.following.changes.notify([ONE, TWO, "a batch that is not known"])
        async with asyncio.timeout(30):
            assert await anext(idle.chunks()) == b"id: log-3\n\n"


async def test_who_does_not_read_is_closed_at_64_kib_and_one_who_reads_gets_what_is_larger() -> None:
    async with connected() as transport:
        reading = listener(transport)
        reading.offer(large := b"x" * (2 * MOST_BACKLOG))
        assert await anext(reading.chunks()) == large
        slow = listener(transport)
        slow.offer(b"x" * (MOST_BACKLOG - 1))
        slow.offer(b"x")
        assert (slow.backlog, slow.is_gone) == (MOST_BACKLOG, False)
        slow.offer(b"x")
        assert (slow.is_gone, transport.is_closing()) == (True, True)


def test_of_events_sent_together_only_the_last_has_the_id_behind_all_of_them() -> None:
    assert with_ids([b"event: a\n\n", b"event: b\n\n"], "log-1", "log-7") == (
        b"id: log-1\nevent: a\n\nid: log-7\nevent: b\n\n"
    )
