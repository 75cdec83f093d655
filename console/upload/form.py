"""The form of the page, read from the body of a request into memory, within the budget that all bodies share."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import get_args

from aiohttp import web
from multipart import MultipartSegment

from console.upload.files import FIELD_WORDS, Choices, ColumnChoices, UploadedFile
from producer.settings import MIB, ServerSettings
from producer.transport.body_budget import Room
from producer.transport.content_type import FORM, boundary_of, media_type
from producer.transport.form_parser import Event, FormError, FormParser
from schemas.bounds import MAX_NAME
from schemas.countries import alpha_2
from schemas.records import AudienceType, Mode
from schemas.validity import is_name, trimmed

MOST_OF_FILE = 64 * MIB
MOST_OF_REST = 256 * 1024
"""Bytes of everything but the file."""

MOST_PARTS = 300
"""A part for each column that a file may have, and some."""

MOST_COLUMNS = 256
LONGEST_OPTION = 100
LONGEST_FILE_NAME = 120
MOST_SESSION = 2**53

COMMAND = 'audience upload FILE --name "NAME"'
"""What takes a file of any size."""

TEXTS = ("name", "type", "mode", "country", "encoding", "separator", "sheet")
"""Fields of the form that are shown again as they came."""


class ProblemError(Exception):
    """The page says what is wrong instead of what was asked for; `takes_command` where the command can do it."""

    def __init__(self, status: int, text: str, *, takes_command: bool = False, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.takes_command = takes_command
        self.retry_after = retry_after


def most_of_file(settings: ServerSettings) -> int:
    """Return how large a file may be here."""
    return min(MOST_OF_FILE, settings.max_body)


def most_in_words(settings: ServerSettings) -> str:
    """Return the same as people read it."""
    most = most_of_file(settings)
    return f"{most // MIB} MiB" if most >= MIB else f"{most:,} bytes"


def too_large(settings: ServerSettings) -> ProblemError:
    """Say that a file is too large for a browser."""
    most = most_in_words(settings)
    text = f"The file is larger than {most}, the most that this page takes. The command takes files of any size:"
    return ProblemError(413, text, takes_command=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadForm:
    """What was sent: a file, and the fields beside it."""

    file: UploadedFile
    fields: Mapping[str, str]

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        with self.file.content.getbuffer() as content:
            return content.nbytes

    def choices(self) -> Choices:
        """Return what is to be done with the file. Raises ProblemError."""
        name = trimmed(self.fields.get("name", ""))
        if not is_name(name):
            raise ProblemError(400, f"Name the audience, in 1 to {MAX_NAME} characters.")
        kind, mode = self.fields.get("type", "custom"), self.fields.get("mode", "add")
        if kind not in get_args(AudienceType) or mode not in get_args(Mode):
            raise ProblemError(400, "Choose a type, and what becomes of the users.")
        return Choices(
            name=name,
            type="primary" if kind == "primary" else "custom",
            mode="remove" if mode == "remove" else "add",
            only_consented="consented" in self.fields,
            columns=self._columns(),
            country=self._country(),
            **{option: self._option(option) for option in ("encoding", "separator", "sheet")},
        )

    def _country(self) -> str | None:
        country = self._option("country")
        if country and alpha_2(country) is None:
            raise ProblemError(400, "The country of who has none is no known country: write it as DE or Germany.")
        return country

    def session(self) -> int:
        """Return the session that the look gave. Raises ProblemError."""
        text = self.fields.get("session", "")
        if not text.isdecimal() or not text.isascii() or len(text) > 16 or not 0 < int(text) <= MOST_SESSION:
            raise ProblemError(400, "Look at the file before it is sent.")
        return int(text)

    def _option(self, name: str) -> str | None:
        text = self.fields.get(name, "").strip()
        if len(text) > LONGEST_OPTION:
            raise ProblemError(400, f"{name.capitalize()} takes at most {LONGEST_OPTION} characters.")
        return text or None

    def _columns(self) -> ColumnChoices | None:
        header = self.fields.get("header", "")
        count = sum(name.startswith("column.") for name in self.fields)
        if not header or not count:
            return None
        fields = tuple(self.fields.get(f"column.{place}", "") for place in range(count))
        order = self.fields.get("order", "")
        places = [int(text) for text in order.split(",") if text.isdecimal() and len(text) < 4]
        if count > MOST_COLUMNS or any(field and field not in FIELD_WORDS for field in fields):
            raise ProblemError(400, "Choose fields of the list for the columns.")
        return ColumnChoices(header=header[:64], fields=fields, order=tuple(places[:MOST_COLUMNS]))


async def read_upload(request: web.Request, room: Room, settings: ServerSettings) -> UploadForm:
    """Read the form. Raises ProblemError, and Refused where there is no room."""
    try:
        async with asyncio.timeout(settings.body_timeout):
            form = await _read(request, room, settings)
    except TimeoutError:
        text = f"The file did not come within {settings.body_timeout:g} seconds. The command sends it in small batches:"
        raise ProblemError(408, text, takes_command=True) from None
    except (FormError, web.RequestPayloadError):
        raise ProblemError(400, "The form did not come whole. Send it again.") from None
    room.settle(form.size)
    return form


def declared_length(request: web.Request, settings: ServerSettings) -> int | None:
    """Return how many bytes a form has, if that is said. Raises ProblemError for what is no form, or too much."""
    if media_type(request) != FORM or not boundary_of(request):
        raise ProblemError(400, "Send the form of this page.")
    length = request.content_length
    if length is not None and length > most_of_file(settings) + MOST_OF_REST:
        raise too_large(settings)
    return length if length is None else min(length, settings.max_body)


async def _read(request: web.Request, room: Room, settings: ServerSettings) -> UploadForm:
    collector, parser = _Collector(settings), FormParser(boundary_of(request), MOST_PARTS)
    async for chunk in request.content.iter_any():
        if room.arrived + len(chunk) > most_of_file(settings) + MOST_OF_REST:
            raise too_large(settings)
        await room.arrive(len(chunk))
        for event in parser.parse(chunk):
            collector.take(event)
    for event in parser.finish():
        collector.take(event)
    return collector.form()


class _Collector:
    """Puts the events of the parser together."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._left = most_of_file(settings)
        self._left_of_rest = MOST_OF_REST
        self._content = BytesIO()
        self._file_name = ""
        self._fields: dict[str, str] = {}
        self._name = ""
        self._is_file = False
        self._value = bytearray()

    def form(self) -> UploadForm:
        """Return what came. Raises ProblemError where no file did."""
        if not self._file_name:
            raise ProblemError(400, "Choose a file.")
        return UploadForm(file=UploadedFile(name=self._file_name, content=self._content), fields=self._fields)

    def take(self, event: Event) -> None:
        """Take what the parser found next. Raises ProblemError."""
        if event is None:
            self._end()
        elif isinstance(event, bytes | bytearray):
            self._add(event)
        else:
            self._begin(event)

    def _begin(self, segment: MultipartSegment) -> None:
        self._name = segment.name
        self._is_file = segment.filename is not None
        self._value.clear()
        if self._is_file:
            if self._file_name:
                raise ProblemError(400, "Choose one file at a time.")
            self._file_name = shown_file_name(segment.filename)

    def _add(self, content: bytes | bytearray) -> None:
        if not self._is_file:
            self._left_of_rest -= len(content)
            if self._left_of_rest < 0:
                raise ProblemError(413, "The fields of the form are too long.")
            self._value += content
            return
        self._left -= len(content)
        if self._left < 0:
            raise too_large(self._settings)
        self._content.write(content)

    def _end(self) -> None:
        if not self._is_file:
            self._fields.setdefault(self._name, self._value.decode(errors="replace"))


def shown_file_name(sent: str) -> str:
    """Return the name of a file as the page may show it: its last part, on one line, of printable letters."""
    name = sent.encode("latin-1", "replace").decode(errors="replace").replace("\\", "/").rpartition("/")[2]
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)
    return f"{shown[:LONGEST_FILE_NAME]}…" if len(shown) > LONGEST_FILE_NAME else shown
