"""Which offset of a partition may be committed while its records finish in any order."""

import base64
import binascii
from collections import deque

MAX_SPAN = 20_000
"""Offsets that the metadata of a commit covers: 2,500 bytes, 3,336 as base64; brokers take 4,096."""

_VERSION = "1:"


class Window:
    """The records of one partition from the committed offset on.

    Offsets are added in order; gaps between them are no records and block nothing. What was finished beyond
    the committed offset travels in the commit's metadata, so that it is not done again after a restart.
    """

    def __init__(self, start: int, metadata: str = "") -> None:
        self.committable = start
        """Offset to commit: the next one of the lowest contiguous finished record."""
        self._expected = start
        self._order: deque[int] = deque()
        self._sizes: dict[int, int] = {}
        self._finished = decode_offsets(start, metadata)

    def add(self, offset: int, size: int = 0) -> bool:
        """Note a record that was read; False if it needs no work, being finished or noted before."""
        if offset < self._expected:
            return False
        self._expected = offset + 1
        self._order.append(offset)
        if offset in self._finished:
            self._advance()
            return False
        self._sizes[offset] = size
        return True

    def finish(self, offset: int) -> int | None:
        """Note that a record's effects are done; return its size, None if it was not open here."""
        size = self._sizes.pop(offset, None)
        if size is not None:
            self._finished.add(offset)
            self._advance()
        return size

    def _advance(self) -> None:
        while self._order and self._order[0] in self._finished:
            offset = self._order.popleft()
            self._finished.discard(offset)
            self.committable = offset + 1

    def is_open(self, offset: int) -> bool:
        """Tell whether a record was added and is not finished."""
        return offset in self._sizes

    @property
    def unfinished(self) -> int:
        """How many records are open."""
        return len(self._sizes)

    @property
    def size(self) -> int:
        """Sizes of the open records together."""
        return sum(self._sizes.values())

    @property
    def is_full(self) -> bool:
        """Tell whether reading on would outgrow what a commit's metadata can say."""
        return self._expected - self.committable >= MAX_SPAN

    def metadata(self) -> str:
        """Return what is finished beyond `committable`, for the commit."""
        return encode_offsets(self.committable, self._finished)


def encode_offsets(start: int, offsets: set[int]) -> str:
    """Write offsets from `start` on as a bitset; those further than MAX_SPAN are left out."""
    bits = 0
    for offset in offsets:
        if 0 <= offset - start < MAX_SPAN:
            bits |= 1 << (offset - start)
    if not bits:
        return ""
    return _VERSION + base64.b64encode(bits.to_bytes((bits.bit_length() + 7) // 8, "little")).decode()


def decode_offsets(start: int, text: str) -> set[int]:
    """Read what `encode_offsets` wrote; anything else is no offsets at all, as others may commit too."""
    if not text.startswith(_VERSION):
        return set()
    try:
        raw = base64.b64decode(text.removeprefix(_VERSION), validate=True)
    except binascii.Error:
        return set()
    bits = int.from_bytes(raw, "little")
    return {start + place for place in range(min(bits.bit_length(), MAX_SPAN)) if bits >> place & 1}
