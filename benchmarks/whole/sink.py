"""A server that answers as the platforms do where all goes well: it counts rows by their bytes and keeps nothing.

`python -m benchmarks.whole.sink` tells its port on its first line of output and ends when its input does. `GET /` tells
what came so far, as `Counts` has it.
"""

import asyncio
import sys
from dataclasses import asdict, dataclass, field

from benchmarks.whole.answers import Answer, answer_to, http_answer

MOST_HEAD = 64 * 1024


class NotHttpError(Exception):
    """A connection brought what is no call with a body of known length."""


@dataclass(slots=True)
class Counts:
    """What came so far: rows and calls by platform, and how many calls no platform has."""

    rows: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    unknown: int = 0

    def count(self, call: "Call") -> None:
        """Note a call that is through."""
        provider = call.path.split("/")[1]
        self.calls[provider] = self.calls.get(provider, 0) + 1
        self.rows[provider] = self.rows.get(provider, 0) + call.rows


@dataclass(slots=True)
class MarkCounter:
    """Counts a mark in a body that comes in pieces, also where it stands across two of them."""

    mark: bytes
    found: int = 0
    _end: bytes = b""

    def take(self, piece: bytes) -> None:
        """Look through the next piece. The mark has two bytes at least and no end that is its beginning."""
        if self.mark:
            most = len(self.mark) - 1
            self.found += piece.count(self.mark) + (self._end + piece[:most]).count(self.mark)
            self._end = (self._end + piece[-most:])[-most:]


@dataclass(slots=True)
class Call:
    """A call whose head has come: what of its body is still to come, and the marks in it so far."""

    method: str
    path: str
    answer: Answer | None
    left: int
    marks: MarkCounter

    @property
    def rows(self) -> int:
        """Rows of an upload, 0 of another call."""
        return self.marks.found + self.answer.besides if self.answer and self.answer.mark else 0


def call_of(head: bytes) -> Call:
    """Return the call that a head begins. Raises NotHttpError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, _ = first.split(" ")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(fields.get("content-length", "0"))
    except ValueError:
        raise NotHttpError from None
    if "transfer-encoding" in fields or "content-encoding" in fields:
        raise NotHttpError
    path = target.partition("?")[0]
    answer = answer_to(method, path)
    return Call(method, path, answer, length, MarkCounter(answer.mark if answer else b""))


class Connection(asyncio.Protocol):
    """One connection: call after call, each answered once its body is through."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._head = b""
        self._call: Call | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go to."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 -- of a TCP server
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take a piece of a call, or of several."""
        try:
            while data:
                data = self._body(self._call, data) if self._call else self._begun(data)
        except NotHttpError:
            self._counts.unknown += 1
            self._transport.close()

    def _begun(self, data: bytes) -> bytes:
        """Take what belongs to the head; return what follows it."""
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > MOST_HEAD:
                raise NotHttpError
            return b""
        self._head, self._call = b"", call_of(head)
        if not self._call.left:
            self._end(self._call)
        return rest

    def _body(self, call: Call, data: bytes) -> bytes:
        """Take what belongs to the body; return what follows it."""
        piece = data if len(data) <= call.left else data[: call.left]
        call.marks.take(piece)
        call.left -= len(piece)
        if not call.left:
            self._end(call)
        return data[len(piece) :]

    def _end(self, call: Call) -> None:
        self._call = None
        if call.path == "/":
            self.answer(call, http_answer(asdict(self._counts)))
        elif call.answer is None:
            self._counts.unknown += 1
            self.answer(call, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        else:
            self._counts.count(call)
            self.answer(call, call.answer.encoded(call.rows))

    def answer(self, call: Call, answer: bytes) -> None:
        """Answer a call that is through."""
        del call
        self._transport.write(answer)


async def serve(counts: Counts) -> asyncio.Server:
    """Listen on a port of loopback that the system chooses."""
    return await asyncio.get_running_loop().create_server(lambda: Connection(counts), "127.0.0.1", 0)


async def main() -> None:
    """Serve until the parent lets go of our input."""
    async with await serve(Counts()) as server:
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 -- the parent reads it
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(main())
