"""Read a form from the body of a request, within the budget that all bodies share."""

import asyncio
from dataclasses import dataclass, field, replace

from aiohttp import web
from multipart import MultipartSegment

from producer.answers import Refused, closing, malformed, refused
from producer.settings import ServerSettings
from producer.transport.body_budget import Room
from producer.transport.content_type import boundary_of, too_large
from producer.transport.expect_header import invite
from producer.transport.form_parser import Event, FormError, FormParser
from producer.transport.part_decoding import BOM, Labels, decode_parts, is_plain, labels_of, latin_1

FIELDS = ("name", "type", "batch", "users")
CHARSET = "_charset_"
"""A field of HTML forms: the charset of those that name none (RFC 7578, 4.6)."""


@dataclass(slots=True)
class Form:
    """The parts that matter, each once, the names of those that came again, and those that nobody knows."""

    parts: dict[str, bytes] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    labels: dict[str, Labels] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return sum(map(len, self.parts.values()))

    def in_latin_1(self) -> "Form | None":
        """Return it with text that names no charset and is not UTF-8 read as ISO-8859-1, None where there is none."""
        parts = latin_1(self.parts, self.labels)
        return None if parts is None else replace(self, parts=parts)


async def read_form(request: web.Request, room: Room, settings: ServerSettings) -> Form:
    """Ask for the body, read all of it and hold what matters.

    Raises Refused for one that is broken (400), slow (408), too large (413) or more than there is room for (503).
    """
    try:
        await invite(request)
    except ConnectionError:
        raise _hung_up() from None
    try:
        async with asyncio.timeout(settings.body_timeout):
            form = await _read(request, room, settings)
    except TimeoutError:
        raise closing(refused(408, f"body: send it within {settings.body_timeout:g} seconds")) from None
    except FormError as error:
        raise malformed(str(error)) from None
    except web.RequestPayloadError:
        raise closing(malformed("the body can't be read to its end")) from None
    except OSError:
        raise _hung_up() from None
    form = await _decoded(form, settings)
    room.settle(form.size)
    return form


def _hung_up() -> Refused:
    """Return what the log says of a client that went before its body was over; it gets no answer."""
    return closing(refused(400, "body: the client closed the connection before its end"))


async def _read(request: web.Request, room: Room, settings: ServerSettings) -> Form:
    collector, parser = _Collector(), FormParser(boundary_of(request))
    async for chunk in request.content.iter_any():
        if room.arrived + len(chunk) > settings.max_body:
            raise refused(413, too_large(settings))
        await room.arrive(len(chunk))
        for event in parser.parse(chunk):
            collector.take(event)
    for event in parser.finish():
        collector.take(event)
    return collector.form()


async def _decoded(form: Form, settings: ServerSettings) -> Form:
    """Return a form in UTF-8, as it is where it says nothing else. Raises Refused (400, 413)."""
    if not all(is_plain(data, form.labels[name]) for name, data in form.parts.items()):
        decoded = await asyncio.to_thread(decode_parts, form.parts, form.labels)
        if decoded.faults:
            raise refused(400, *decoded.faults)
        form = replace(form, parts=decoded.parts)
        if form.size > settings.max_body:
            raise refused(413, too_large(settings))
    form.parts = {name: data.removeprefix(BOM) for name, data in form.parts.items()}
    return form


class _Collector:
    """Puts the events of the parser together; parts that nobody asked for are passed over."""

    def __init__(self) -> None:
        self._form = Form()
        self._charset = b""
        self._name: str | None = None
        self._chunks: list[bytes] = []

    def form(self) -> Form:
        """Return what came; text without a charset has that of the form."""
        if charset := self._charset[:100].decode("latin-1").strip():
            for name, labels in self._form.labels.items():
                if labels.is_text and not labels.charset:
                    self._form.labels[name] = replace(labels, charset=charset)
        return self._form

    def take(self, event: Event) -> None:
        """Take what the parser found next."""
        if event is None:
            self._end()
        elif isinstance(event, bytes | bytearray):
            if self._name is not None:
                self._chunks.append(bytes(event))
        else:
            self._begin(event)

    def _begin(self, segment: MultipartSegment) -> None:
        name: str = segment.name
        self._name = name if name in FIELDS or name == CHARSET else None
        if self._name is None:
            self._form.ignored.append(name)
        if name in self._form.parts:
            self._form.repeated.append(name)
            self._name = None
        elif name in FIELDS:
            self._form.labels[name] = labels_of(segment)

    def _end(self) -> None:
        if self._name == CHARSET:
            self._charset = b"".join(self._chunks)
        elif self._name is not None:
            self._form.parts[self._name] = b"".join(self._chunks)
        self._name, self._chunks = None, []
