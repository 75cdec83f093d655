"""Which offset of a partition may be committed while its records finish in any order."""

import base64
import binascii
import re
import struct
import zlib
from collections import deque
from collections.abc import Iterable

MAX_SPAN = 20_000
"""Offsets that the metadata of a commit covers: 3,347 characters at most; brokers take 4,096 bytes."""

_VERSION = "1:"

_OPEN = "open "
"""What metadata begins with while somebody holds the partition: who leaves in order commits without it."""

_KNOWS_REMOVALS, _BUSY = b"\0", b"\0\0"
"""What ends the offsets that are finished: no offsets to whoever knows nothing of it, and never written before."""

_TAG = re.compile(r"([A-Za-z0-9+/_-]{22}) ")
"""A topic's id, as Kafka writes it, before the rest of the metadata."""


class OffsetTracker:
    """The records of one partition from the committed offset on.

    Offsets are added in order. Gaps between them (compaction, control records) are no records and block
    nothing. What is finished beyond the committed offset travels in the commit's metadata, so that a restart
    skips it.
    """

    def __init__(self, committed: int, metadata: str = "") -> None:
        self._next = committed
        self._order: deque[int] = deque()
        self._unfinished: set[int] = set()
        self._finished = decode_offsets(committed, metadata)
        self._metadata: str | None = None

    def add(self, offset: int) -> bool:
        """Note a record that was read; False if it needs no work, being finished or noted before."""
        if offset < self._next:
            return False
        self._next = offset + 1
        self._order.append(offset)
        if offset in self._finished:
            self._advance()
            return False
        self._unfinished.add(offset)
        self._metadata = None
        return True

    def finish(self, offset: int) -> bool:
        """Note that a record's effects are done; False, without effect, if it is not open here."""
        if offset not in self._unfinished:
            return False
        self._unfinished.discard(offset)
        self._finished.add(offset)
        self._advance()
        return True

    def skip_to(self, offset: int) -> int:
        """Go on at an offset, as what comes before it is not on the log any more.

        Return how many unread offsets that leaves out; those that metadata calls finished are no loss.
        """
        lost = sum(1 for skipped in range(self._next, offset) if skipped not in self._finished)
        self._next = max(self._next, offset)
        self._advance()
        return lost

    def pass_to(self, offset: int) -> None:
        """Go on at an offset, as nothing that is to be read comes before it: control records, what was compacted."""
        self._next = max(self._next, offset)
        self._metadata = None

    def _advance(self) -> None:
        while self._order and self._order[0] not in self._unfinished:
            self._finished.discard(self._order.popleft())
        self._metadata = None

    @property
    def next_offset(self) -> int:
        """Offset that is read next."""
        return self._next

    @property
    def committable(self) -> int:
        """Offset to commit: of the first unfinished record, or of the next one to read."""
        return self._order[0] if self._order else self._next

    @property
    def unfinished(self) -> int:
        """How many records are open."""
        return len(self._unfinished)

    @property
    def is_full(self) -> bool:
        """Tell whether reading on would outgrow what a commit's metadata can say."""
        return self._next - self.committable >= MAX_SPAN

    def metadata(self) -> str:
        """Return what is finished beyond `committable`, for the commit."""
        if self._metadata is None:
            self._metadata = encode_offsets(self.committable, self._finished)
        return self._metadata


def left_open(metadata: str) -> str:
    """Return metadata that says that its partition is held, and not given up in order since."""
    return _OPEN + metadata


def is_left_open(metadata: str) -> bool:
    """Tell whether the last who held a partition has not given it up in order."""
    return metadata.startswith(_OPEN)


def tagged(metadata: str, topic_id: str | None) -> str:
    """Return the metadata of a commit, which says first of which topic its offset is."""
    return metadata if topic_id is None else f"{topic_id} {metadata}"


def untagged(text: str) -> tuple[str | None, str]:
    """Return of which topic an offset was committed, None where that is not said, and the rest of the metadata."""
    match = _TAG.match(text)
    return (match[1], text[match.end() :]) if match else (None, text)


def encode_offsets(start: int, offsets: Iterable[int]) -> str:
    """Write offsets from `start` on as a bitset; those further than MAX_SPAN are left out."""
    positions = [offset - start for offset in offsets if 0 <= offset - start < MAX_SPAN]
    if not positions:
        return ""
    bits = bytearray(max(positions) // 8 + 1)
    for position in positions:
        bits[position // 8] |= 1 << position % 8
    return _VERSION + base64.b64encode(_checksum(start, bits) + bits).decode()


def decode_offsets(start: int, text: str) -> set[int]:
    """Read what `encode_offsets` wrote for this start; anything else is no offsets at all.

    Others may commit with metadata of their own, or move a committed offset and leave the metadata behind.
    """
    bits = _bits(start, text)
    return {start + 8 * at + bit for at, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1}


def marked(start: int, text: str, *, busy_to: int | None = None) -> str:
    """Return metadata that says, too, that whoever committed it knows removals.

    Who gives a partition up with calls under way says by `busy_to` how far it has read.
    """
    bits = _bits(start, text)
    if busy_to is None:
        bits += _KNOWS_REMOVALS
    else:
        bits = bits.ljust((min(busy_to - start, MAX_SPAN) + 7) // 8, b"\0") + _BUSY
    return _VERSION + base64.b64encode(_checksum(start, bits) + bits).decode()


def is_marked(start: int, text: str) -> bool:
    """Tell whether who committed this knew removals; else it ended them as records that can't be read."""
    return _bits(start, text).endswith(_KNOWS_REMOVALS)


def left_busy_to(start: int, text: str) -> int | None:
    """Return how far who gave a partition up had read, to the next eight, if calls of it may still take effect.

    None where it left with nothing under way.
    """
    bits = _bits(start, text)
    return start + 8 * (len(bits) - len(_BUSY)) if bits.endswith(_BUSY) else None


def _bits(start: int, text: str) -> bytes:
    """Return the bitset of metadata that was written for this start, empty where it is anything else."""
    text = text.removeprefix(_OPEN)
    if not text.startswith(_VERSION):
        return b""
    try:
        raw = base64.b64decode(text.removeprefix(_VERSION), validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw[4:] if raw[:4] == _checksum(start, raw[4:]) else b""


def _checksum(start: int, bits: bytes | bytearray) -> bytes:
    return struct.pack(">I", zlib.crc32(bits, zlib.crc32(struct.pack(">q", start))))
