"""The multipart parser, as lenient as RFC 2046 and clients need it."""

from collections.abc import Iterator
from typing import TypeAlias

from multipart import MultipartError, MultipartSegment, PushMultipartParser

from producer.transport.body_mistakes import BY_HAND, hint_in
from producer.transport.padding import Unpadding

MAX_PARTS = 64
MAX_PART_HEADERS = 16
HEAD = 1024
"""Bytes of the body that are kept to tell what is wrong with it."""

Event: TypeAlias = MultipartSegment | bytes | bytearray | None
"""The beginning of a part, bytes of it, its end."""


class FormError(Exception):
    """The body is no form; the message says what to do."""


class FormParser:
    """Parses a form that comes in chunks."""

    def __init__(self, boundary: bytes, max_parts: int = MAX_PARTS) -> None:
        self._boundary = boundary
        self._max_parts = max_parts
        self._unpadding = Unpadding(boundary)
        self._parser = _Parser(boundary, max_segment_count=max_parts, max_header_count=MAX_PART_HEADERS)
        self._head = b""
        self._parts = 0

    def parse(self, chunk: bytes) -> Iterator[Event]:
        """Return what a chunk, which is not empty, adds. Raises FormError."""
        if len(self._head) < HEAD:
            self._head += chunk[: HEAD - len(self._head)]
        try:
            yield from self._events(self._unpadding.feed(chunk))
        except MultipartError:
            raise FormError(self._wrong()) from None

    def finish(self) -> Iterator[Event]:
        """Return what is left at the end of the body. Raises FormError where something is missing."""
        try:
            yield from self._events(self._unpadding.rest())
            self._parser.close()
        except MultipartError:
            raise FormError(self._cut_off()) from None

    def _events(self, data: bytes) -> Iterator[Event]:
        if not data:
            return
        for event in self._parser.parse(data):
            self._parts += isinstance(event, MultipartSegment)
            yield event

    def _wrong(self) -> str:
        if b"--" + self._boundary + b"\n" in self._head:
            return "its lines end with LF; end those of boundaries and headers with CRLF"
        if self._parts >= self._max_parts:
            return f"it has more than {self._max_parts} parts; send users as one part, and batch as one, both as JSON"
        return (
            "the parts can't be read: check the boundary, that lines end with CRLF, and that every part has "
            'Content-Disposition: form-data; name="..."'
        )

    def _cut_off(self) -> str:
        if self._parts:
            return "the end is missing: close the form, so that the boundary with -- behind it comes last"
        if not self._head:
            return "there is no body"
        if self._head.startswith(b"--"):
            return f"Content-Type names another boundary than the body has; {BY_HAND}"
        return hint_in(self._head) or "the boundary that Content-Type names is not in the body"


class _Parser(PushMultipartParser):  # type: ignore[misc] # it is untyped
    """Reads TABs in the headers of parts as blanks, and their bytes as they are: names of files are in any charset."""

    def __init__(self, boundary: bytes, **limits: int) -> None:
        super().__init__(boundary, header_charset="latin-1", **limits)

    def _create_segment(self, headers: list[tuple[str, str]]) -> MultipartSegment:
        return super()._create_segment([(name, value.replace("\t", " ")) for name, value in headers])
