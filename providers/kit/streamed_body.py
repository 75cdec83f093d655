"""Bodies of calls that are written piece by piece, so that none exists as a whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

PIECE = 64 * 1024
"""Bytes that are written before other tasks run; a single row may be longer."""


@dataclass(frozen=True)
class StreamedBody:
    """JSON whose rows are joined as they go: `head`, the rows with commas between, `tail`.

    To copy megabytes into memory that is fresh takes milliseconds, in which no other task runs.
    """

    head: bytes
    rows: Sequence[msgspec.Raw]
    tail: bytes

    def __len__(self) -> int:
        return self._length

    @cached_property
    def _length(self) -> int:
        return len(self.head) + sum(map(len, self.rows)) + max(0, len(self.rows) - 1) + len(self.tail)

    def __bytes__(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """Yield the body in order, in pieces of about PIECE bytes."""
        step = max(1, PIECE * len(self.rows) // max(1, len(self)))
        before = self.head
        for start in range(0, len(self.rows), step):
            for some in _cut(self.rows[start : start + step]):
                yield before + b",".join(some)
                before = b","
        yield (self.tail if self.rows else self.head + self.tail)


def _cut(rows: Sequence[msgspec.Raw]) -> Iterator[Sequence[msgspec.Raw]]:
    """Yield rows in parts of about PIECE bytes at most, whatever a single one has."""
    if len(rows) == 1 or sum(map(len, rows)) <= PIECE:
        yield rows
    else:
        yield from _cut(rows[: len(rows) // 2])
        yield from _cut(rows[len(rows) // 2 :])


def pieces_of(body: "bytes | StreamedBody") -> Iterator[bytes | memoryview]:
    """Yield any body in pieces."""
    if isinstance(body, StreamedBody):
        yield from body.pieces()
        return
    whole = memoryview(body)
    for at in range(0, len(whole), PIECE):
        yield whole[at : at + PIECE]


def encoded(content: object) -> "bytes | StreamedBody | None":
    """Return the body of a request: JSON, or what is JSON already; None for nothing."""
    if content is None or isinstance(content, StreamedBody):
        return content
    return msgspec.json.encode(content)
