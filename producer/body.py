"""Read a multipart body, within a budget of bytes shared by all requests."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from aiohttp import web
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from producer.answers import Refused, malformed, no_room, refused
from producer.settings import ServerSettings

FIELDS = ("name", "type", "batch", "users")
MAX_PARTS = 64
BOM = b"\xef\xbb\xbf"


class Budget:
    """Bytes of bodies that may be held at once."""

    def __init__(self, size: int) -> None:
        self._free = size

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold so many bytes until the block is left. Raises Refused (503) where there are not as many."""
        if size > self._free:
            raise no_room("the server is busy with other uploads")
        self._free -= size
        try:
            yield
        finally:
            self._free += size


@dataclass(slots=True)
class Form:
    """The parts that matter, each once, the names of those that came again, and those that nobody knows."""

    parts: dict[str, bytes] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def size_to_hold(request: web.Request, settings: ServerSettings) -> int:
    """Return the bytes that a body may take; of an unknown length, the most.

    Raises Refused for an encoding (415), for what is not form data (400) and for too much (413).
    """
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise refused(415, "Content-Encoding: send the body as it is, without one")
    _boundary(request)
    if (length := request.content_length) is None:
        return settings.max_body
    if length > settings.max_body:
        raise _too_large(settings)
    return length


def _too_large(settings: ServerSettings) -> Refused:
    return refused(413, f"body: send at most {settings.max_body} bytes, in several batches if need be")


def _boundary(request: web.Request) -> str:
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    if kind.lower() != "multipart/form-data":
        raise malformed("Content-Type: expected multipart/form-data")
    if not options.get("boundary"):
        raise malformed("Content-Type: expected a boundary")
    boundary: str = options["boundary"]
    return boundary


async def read_form(request: web.Request, settings: ServerSettings) -> Form:
    """Read the whole body. Raises Refused for one that is broken (400), slow (408) or too large (413)."""
    try:
        async with asyncio.timeout(settings.body_timeout):
            return await _read(request, settings)
    except TimeoutError:
        message = f"body: send it within {settings.body_timeout:g} seconds"
        raise refused(408, message, headers={"Connection": "close"}) from None
    except MultipartError:
        raise malformed("the parts can't be read: check the boundary and that the last one ends with --") from None
    except (ValueError, web.RequestPayloadError):
        raise malformed("the body can't be read to its end") from None


async def _read(request: web.Request, settings: ServerSettings) -> Form:
    form, received = Form(), 0
    with PushMultipartParser(_boundary(request), max_segment_count=MAX_PARTS) as parser:
        collector = _Collector(form)
        async for chunk in request.content.iter_any():
            received += len(chunk)
            if received > settings.max_body:
                raise _too_large(settings)
            for event in parser.parse(chunk):
                collector.take(event)
    return form


class _Collector:
    """Puts the events of the parser together; parts that nobody asked for are passed over."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._name: str | None = None
        self._chunks: list[bytes] = []

    def take(self, event: MultipartSegment | bytes | bytearray | None) -> None:
        if event is None:
            self._end()
        elif isinstance(event, bytes | bytearray):
            if self._name is not None:
                self._chunks.append(bytes(event))
        else:
            self._begin(event.name)

    def _begin(self, name: str) -> None:
        self._name = name if name in FIELDS else None
        if self._name is None:
            self._form.ignored.append(name)
        if name in self._form.parts:
            self._form.repeated.append(name)
            self._name = None

    def _end(self) -> None:
        if self._name is not None:
            self._form.parts[self._name] = b"".join(self._chunks).removeprefix(BOM)
        self._name, self._chunks = None, []
