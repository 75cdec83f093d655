"""A proxy before a broker that is not yet leader when a first record comes, and is when the next one does."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PRODUCE = 0
NOT_LEADER = 6


@dataclass(slots=True)
class WithholdingProxy:
    """Refuses the first record for `topic` as a broker that is not its leader does, once a second one has come.

    It passes everything else, the second record too. The topic has one partition.
    """

    topic: str
    to_port: int
    port: int = 0
    has_first: asyncio.Event = field(default_factory=asyncio.Event)
    has_second: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        try:
            there, to = await asyncio.open_connection("127.0.0.1", self.to_port)
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
            api, version, number = struct.unpack_from(">hhi", request)
            if api == PRODUCE and self.topic.encode() in request:
                if not self.has_first.is_set():
                    self.has_first.set()
                    withheld = self._refusal(number, version)
                    continue
                if not self.has_second.is_set():
                    self.has_second.set()
                    back.write(withheld)
            to.write(len(request).to_bytes(4) + request)

    async def _answers(self, there: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while True:
            answer = await _frame(there)
            back.write(len(answer).to_bytes(4) + answer)

    def _refusal(self, number: int, version: int) -> bytes:
        """Return what a broker answers that does not lead the topic's partition, by the protocol's versions 9 to 12."""
        assert 9 <= version <= 12, version
        name = self.topic.encode()
        partition = struct.pack(">ihqqq", 0, NOT_LEADER, -1, -1, -1) + b"\x01\x00\x00"
        body = b"\x02" + bytes([len(name) + 1]) + name + b"\x02" + partition + b"\x00" + struct.pack(">i", 0) + b"\x00"
        answer = struct.pack(">i", number) + b"\x00" + body
        return len(answer).to_bytes(4) + answer


async def _frame(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


@asynccontextmanager
async def withholding(topic: str, port: int, to_port: int) -> AsyncIterator[WithholdingProxy]:
    """Run such a proxy on a port while the block is entered."""
    proxy = WithholdingProxy(topic, to_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port)
    try:
        yield proxy
    finally:
        server.close()
