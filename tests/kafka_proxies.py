"""Proxies before a broker that do to single requests what a broker under strain does."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from streams.local.broker import HOST

PRODUCE, JOIN_GROUP = 0, 11
NOT_LEADER = 6


@dataclass(slots=True)
class KafkaProxy:
    """Passes everything between clients and a broker of this machine, request by request."""

    to_port: int

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            there, to = await asyncio.open_connection(HOST, self.to_port)
        except ConnectionError:
            return writer.close()  # the broker is still starting
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._requests(reader, to, writer))
                tasks.create_task(self._answers(there, writer))
        except* (ConnectionError, asyncio.IncompleteReadError):
            pass  # either side is gone
        finally:
            to.close()
            writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, to: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while True:
            request = await _frame(reader)
            if self.passes(request, back):
                to.write(len(request).to_bytes(4) + request)

    async def _answers(self, there: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while True:
            answer = await _frame(there)
            back.write(len(answer).to_bytes(4) + answer)

    def passes(self, request: bytes, back: asyncio.StreamWriter) -> bool:
        """Tell whether a request goes on to the broker; who keeps it may answer."""
        del request, back
        return True


@dataclass(slots=True)
class LateLeader(KafkaProxy):
    """Refuses the first record for `topic` as a broker that is not its leader does, once a second one has come.

    The second one passes. The topic has one partition.
    """

    topic: str
    has_first: asyncio.Event = field(default_factory=asyncio.Event)
    _refusal: bytes = b""

    def passes(self, request: bytes, back: asyncio.StreamWriter) -> bool:
        """Keep the first record, and refuse it before the second one goes on."""
        if api_of(request) != PRODUCE or self.topic.encode() not in request:
            return True
        if not self.has_first.is_set():
            self.has_first.set()
            self._refusal = self._refused(request)
            return False
        back.write(self._refusal)
        self._refusal = b""
        return True

    def _refused(self, request: bytes) -> bytes:
        """Return what a broker answers that does not lead the topic's partition, by the protocol's versions 9 to 12."""
        _, version, number = struct.unpack_from(">hhi", request)
        assert 9 <= version <= 12, version
        name = self.topic.encode()
        partition = struct.pack(">ihqqq", 0, NOT_LEADER, -1, -1, -1) + b"\x01\x00\x00"
        body = b"\x02" + bytes([len(name) + 1]) + name + b"\x02" + partition + b"\x00" + struct.pack(">i", 0) + b"\x00"
        answer = struct.pack(">i", number) + b"\x00" + body
        return len(answer).to_bytes(4) + answer


@dataclass(slots=True)
class SilentCoordinator(KafkaProxy):
    """Never answers the first request to join a group, on a connection that stays open."""

    has_kept: asyncio.Event = field(default_factory=asyncio.Event)

    def passes(self, request: bytes, back: asyncio.StreamWriter) -> bool:
        """Keep the first request to join."""
        del back
        if api_of(request) != JOIN_GROUP or self.has_kept.is_set():
            return True
        self.has_kept.set()
        return False


def api_of(request: bytes) -> int:
    """Return which of Kafka's requests this is."""
    return int.from_bytes(request[:2])


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


@asynccontextmanager
async def proxying(proxy: KafkaProxy, port: int) -> AsyncIterator[None]:
    """Run a proxy on a port while the block is entered."""
    server = await asyncio.start_server(proxy.serve, HOST, port)
    try:
        yield
    finally:
        server.close()


def advertised(port: int) -> dict[str, str]:
    """Return the properties of a broker whose clients are to come by a proxy."""
    return {"advertised.listeners": f"PLAINTEXT://{HOST}:{port}"}
