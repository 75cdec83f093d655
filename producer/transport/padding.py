"""Blanks behind a delimiter: RFC 2046 lets composers add them, the parser takes none."""

BLANKS = b" \t"
LONGEST = 256
"""Blanks that may be cut by the edge of a chunk."""


class Unpadding:
    """Takes the blanks behind delimiters out of a body that comes in chunks.

    A chunk is copied only where it has any; what may be the beginning of a delimiter is kept for the next one.
    """

    def __init__(self, boundary: bytes) -> None:
        self._mark = b"--" + boundary
        self._kept = b""
        self._is_at_start = True

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be parsed now."""
        data = self._kept + chunk if self._kept else chunk
        end = self._end(data)
        self._kept = data[end:]
        data = self._without(data[:end] if self._kept else data)
        self._is_at_start = self._is_at_start and not data
        return data

    def rest(self) -> bytes:
        """Return what was kept: the body is over."""
        return self._without(self._kept)

    def _end(self, data: bytes) -> int:
        """Return where a last line begins that so far is part of a delimiter, or one and blanks."""
        start = data.rfind(b"\r", -(len(self._mark) + LONGEST))
        if start < 0 and not self._is_at_start:
            return len(data)
        start = max(start, 0)
        line = data[start : start + len(self._mark) + LONGEST].lstrip(b"\r\n")
        is_whole = line.startswith(self._mark) and not line[len(self._mark) :].strip(BLANKS)
        is_cut = self._mark.startswith(line) or is_whole
        return start if is_cut and len(data) - start < len(self._mark) + LONGEST else len(data)

    def _without(self, data: bytes) -> bytes:
        found, pieces, done = data.find(self._mark), [], 0
        while found >= 0:
            end = found + len(self._mark)
            begins_line = data[max(found - 2, 0) : found] == b"\r\n" or (found == 0 and self._is_at_start)
            if begins_line and data[end : end + 1] in (b" ", b"\t"):
                pieces.append(data[done:end])
                end = done = len(data) - len(data[end:].lstrip(BLANKS))
            found = data.find(self._mark, end)
        return b"".join((*pieces, data[done:])) if pieces else data
