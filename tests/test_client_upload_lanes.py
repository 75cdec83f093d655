"""Lanes of an upload: how much is held at once, and how they end."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from audience_client.upload import lanes
from audience_client.upload.lanes import Lanes
from audience_client.upload.second_pass import Cut
from audience_client.users.encoded_users import EncodedUsers
from audience_client.users.user_reader import SpooledBatch


def users_of(size: int) -> EncodedUsers:
    """Return so many bytes of what a batch may be."""
    users = EncodedUsers("customers.csv")
    users.add(b"x" * (size - len(b"[]")))
    users.finish()
    return users


class Source:
    """Cuts that are counted when they are read, in threads that are noted."""

    def __init__(self, count: int, size: int = 10, fails_at: int | None = None) -> None:
        self.read = 0
        self.threads: set[str] = set()
        self._of = (count, size, fails_at)

    def cuts(self) -> Iterator[Cut]:
        count, size, fails_at = self._of
        for sequence in range(1, count + 1):
            if sequence == fails_at:
                raise OSError("the disk went away")
            self.read += 1
            self.threads.add(threading.current_thread().name)
            yield Cut(sequence, SpooledBatch(users_of(size), [sequence]))


class Server:
    """Takes cuts when it is let."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.sent: list[int] = []
        self.begun: list[int] = []
        self.fails_at: int | None = None

    async def send(self, cut: Cut) -> None:
        self.begun.append(cut.sequence)
        if cut.sequence == self.fails_at:
            raise ValueError("refused")
        await self.open.wait()
        self.sent.append(cut.sequence)


async def settled(running: "asyncio.Task[None]", server: Server, begun: int) -> None:
    """Return when so many are under way, and no more come."""
    async with asyncio.timeout(30):
        while len(server.begun) < begun:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.05)
    assert not running.done()


@pytest.mark.parametrize("count", [1, 2, 7])
async def test_no_more_is_read_than_lanes_can_send(count: int) -> None:
    source, server = Source(50), Server()
    running = asyncio.create_task(Lanes(source.cuts(), server.send, count).run())
    await settled(running, server, count)
    assert (source.read, len(server.begun)) == (count, count)
    server.open.set()
    await running
    assert sorted(server.sent) == list(range(1, 51))
    assert len(source.threads) == 1
    assert threading.current_thread().name not in source.threads


async def test_large_batches_are_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "ROOM", 25)
    source, server = Source(20, size=10), Server()
    running = asyncio.create_task(Lanes(source.cuts(), server.send, 8).run())
    await settled(running, server, 2)
    assert (source.read, len(server.begun)) == (3, 2)
    server.open.set()
    await running
    assert sorted(server.sent) == list(range(1, 21))


async def test_a_batch_that_is_larger_than_all_room_goes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "ROOM", 5)
    source, server = Source(3, size=10), Server()
    running = asyncio.create_task(Lanes(source.cuts(), server.send, 4).run())
    await settled(running, server, 1)
    assert len(server.begun) == 1
    server.open.set()
    await running
    assert server.sent == [1, 2, 3]


async def test_a_stop_lets_what_is_under_way_end_and_begins_no_more() -> None:
    source, server = Source(50), Server()
    found = Lanes(source.cuts(), server.send, 3)
    running = asyncio.create_task(found.run())
    await settled(running, server, 3)
    found.stop()
    server.open.set()
    await running
    assert (sorted(server.sent), source.read) == ([1, 2, 3], 3)


async def test_what_does_not_end_in_time_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "END_LIMIT", 0.01)
    server = Server()
    found = Lanes(Source(50).cuts(), server.send, 3)
    running = asyncio.create_task(found.run())
    await settled(running, server, 3)
    found.stop()
    await running
    assert server.sent == []


@pytest.mark.parametrize("fails_at", [1, 2, 5])
async def test_a_failure_is_raised_when_the_others_have_ended(fails_at: int) -> None:
    source, server = Source(50), Server()
    server.fails_at = fails_at
    server.open.set()
    with pytest.raises(ValueError, match="refused"):
        await Lanes(source.cuts(), server.send, 3).run()
    assert set(server.begun) - set(server.sent) == {fails_at}
    assert source.read <= fails_at + 3


async def test_a_failure_of_reading_is_raised_as_it_is() -> None:
    server = Server()
    server.open.set()
    with pytest.raises(OSError, match="the disk went away"):
        await Lanes(Source(50, fails_at=4).cuts(), server.send, 3).run()
    assert sorted(server.sent) == [1, 2, 3]


async def test_batches_are_forgotten_once_they_are_sent() -> None:
    source, server = Source(3), Server()
    cuts = list(source.cuts())
    server.open.set()
    await Lanes(iter(cuts), server.send, 2).run()
    for cut in cuts:
        with pytest.raises(ValueError, match="closed file"):
            bytes(cut.batch.users)
