"""JSON Lines and JSON arrays: one object for each customer."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import msgspec

from audience_client.columns.header_names import is_known
from audience_client.errors import FileError, quoted
from audience_client.files.bounds import MAX_TEXT
from audience_client.files.options import ReadOptions
from audience_client.files.source import Source, SourceBacked
from audience_client.files.table import MAX_COLUMNS, NO_TAIL, SAMPLE_ROWS, Block, Notice, Row
from audience_client.files.text.encodings import Encoding, NotUtf8Error, first_encoding, stated_encoding, text_blocks
from audience_client.files.text.json_faults import fault_of, fault_of_array
from audience_client.files.values import TooDeepError, flatten, text_of

MAX_ARRAY = 64 << 20
"""Bytes of a JSON array, which has to be in memory as a whole; JSON Lines have no such bound."""

ENTRIES = 4096
"""Entries of an array that are read at once."""

Members = dict[str, Any]
Numbered = tuple[Sequence[int], list[Members]]

_object = msgspec.json.Decoder(Members, float_hook=str)
_objects = msgspec.json.Decoder(list[Members], float_hook=str)
_raw = msgspec.json.Decoder(msgspec.Raw)
_entries = msgspec.json.Decoder(list[msgspec.Raw])


class JsonLines(SourceBacked):
    """A text with one object on each line."""

    kind: Final = "JSON Lines"
    unit: Final = "line"

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self.name = source.name
        self._source = source
        self._encoding = _encoding_of(source, options)

    def objects(self) -> Iterator[Numbered]:
        """Yield all objects with the numbers of their lines. Raises FileError where a line is none."""
        line = 1
        try:
            for text in text_blocks(self._source, self._encoding):
                count = text.count("\n") + (not text.endswith("\n"))
                yield self._of_block(text, line, count)
                line += count
        except NotUtf8Error as error:
            raise _not_utf_8(self.name, error) from error

    def _of_block(self, text: str, line: int, count: int) -> Numbered:
        try:
            objects = _object.decode_lines(text)
        except (msgspec.MsgspecError, RecursionError):
            objects = []
        if len(objects) == count:
            return range(line, line + count), objects
        lines = [(number, part) for number, part in enumerate(io.StringIO(text, newline="\n"), line) if part.strip()]
        return [number for number, _ in lines], [self._decode(part, number) for number, part in lines]

    def _decode(self, text: str, line: int) -> Members:
        try:
            return _object.decode(text)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise FileError(self.name, _no_object(text), row=line, unit=self.unit) from error


class JsonArray(SourceBacked):
    """One array of objects, which is kept in memory."""

    kind: Final = "JSON array"
    unit: Final = "entry"

    def __init__(self, source: Source, options: ReadOptions) -> None:
        self.name = source.name
        self._source = source
        self._entries = self._read(_encoding_of(source, options))

    def objects(self) -> Iterator[Numbered]:
        """Yield all objects with their numbers from 1. Raises FileError where an entry is none."""
        for start in range(0, len(self._entries), ENTRIES):
            some = self._entries[start : start + ENTRIES]
            try:
                objects = _objects.decode(b"[" + b",".join(map(bytes, some)) + b"]")
            except (msgspec.MsgspecError, RecursionError):
                objects = [self._decode(entry, number) for number, entry in enumerate(some, start + 1)]
            yield range(start + 1, start + 1 + len(some)), objects

    def close(self) -> None:
        """Let go of the file and of its content."""
        self._entries.clear()
        self._source.close()

    def check_unchanged(self) -> None:
        """Say nothing: it was read once, and whole."""

    def _read(self, encoding: Encoding) -> list[msgspec.Raw]:
        parts, size = [], 0
        try:
            for text in text_blocks(self._source, encoding, is_one_line=True):
                parts.append(text)
                size += len(text)
                if size > MAX_ARRAY:
                    problem = f"is a JSON array of more than {MAX_ARRAY >> 20} MiB, and is read as a whole"
                    raise FileError(self.name, f"{problem}; write JSON Lines, such as by: jq -c '.[]'")
        except NotUtf8Error as error:
            raise _not_utf_8(self.name, error) from error
        content = "".join(parts)
        try:
            return _entries.decode(content)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise _no_array(self.name, content) from error

    def _decode(self, entry: msgspec.Raw, number: int) -> Members:
        try:
            return _object.decode(entry)
        except (msgspec.MsgspecError, RecursionError) as error:
            fault = fault_of(bytes(entry).decode(errors="replace"))
            why = f" that can be read (at character {fault.at + 1:,} {fault.what})" if fault else ""
            raise FileError(
                self.name, f"is no object{why}; each customer is one", row=number, unit=self.unit
            ) from error


class JsonTable:
    """Objects as a table: each name that any of them has is a column."""

    def __init__(self, objects: JsonLines | JsonArray) -> None:
        self._objects = objects
        self.name = objects.name
        self.kind: str = objects.kind
        self.unit: str = objects.unit
        self.notices: tuple[Notice, ...] = ()
        self.tail = NO_TAIL
        self.row_count = 0
        self._is_nested = False
        longest, first_rows = self._scan()
        self.samples = tuple(self._cells(members, self.columns) for members in first_rows)
        self.is_checked = longest <= MAX_TEXT

    def blocks(self, columns: Sequence[int], *, is_strict: bool = True) -> Iterator[Block]:
        """Read the objects again, only these columns."""
        del is_strict
        names = [self.columns[column] for column in columns]
        take = itemgetter(*names) if len(names) > 1 and not self._is_nested else None
        for numbers, objects in self._objects.objects():
            rows = _all_texts(take, objects) if take else None
            yield Block(numbers, rows or [self._cells(members, names) for members in objects])
        self._objects.check_unchanged()

    def check_unchanged(self) -> None:
        """Raise FileError where somebody wrote to the file."""
        self._objects.check_unchanged()

    def fingerprint(self) -> str:
        """Return what is the same only for the same bytes. Raises FileError where the file has changed."""
        return self._objects.fingerprint()

    def close(self) -> None:
        """Let go of the file, and of what was kept of it."""
        self._objects.close()

    def _scan(self) -> tuple[int, list[Members]]:
        names: dict[str, None] = {}
        longest, first_rows = 0, list[Members]()
        for numbers, objects in self._objects.objects():
            self.row_count += len(objects)
            longest = max(longest, _longest(objects))
            self._is_nested = self._is_nested or _has_nested(objects)
            if self._is_nested or not names.keys() >= set[str]().union(*objects):
                for number, members in zip(numbers, objects, strict=True):
                    self._add_names(names, members, number)
            first_rows += objects[: SAMPLE_ROWS - len(first_rows)]
        self._objects.check_unchanged()
        self.columns = tuple(names)
        if not self.row_count or not names:
            raise FileError(self.name, f"is a {self.kind} file without a customer; write it again, or name another one")
        if self.row_count == 1 and (name := _list_within(first_rows[0])) is not None:
            problem = f"is one object around the list {quoted(name)}; write that list itself, or one object a line"
            raise FileError(self.name, problem, row=1, unit=self.unit)
        return longest, first_rows

    def _add_names(self, names: dict[str, None], members: Members, number: int) -> None:
        try:
            names.update(dict.fromkeys(flatten(members) if self._is_nested else members))
        except TooDeepError as error:
            problem = "has objects within each other too deeply; write what is about the customer further up"
            raise FileError(self.name, problem, row=number, unit=self.unit) from error
        if len(names) > MAX_COLUMNS:
            problem = f"has names beyond the {MAX_COLUMNS} that are read; write only those about customers"
            raise FileError(self.name, problem, row=number, unit=self.unit)

    def _cells(self, members: Members, names: Iterable[str]) -> Row:
        given: Members = flatten(members) if self._is_nested else members
        found = map(given.get, names)
        return [value if type(value) is str else text_of(value) for value in found]


def _encoding_of(source: Source, options: ReadOptions) -> Encoding:
    return stated_encoding(options.encoding) if options.encoding else first_encoding(source.head())


def _not_utf_8(name: str, error: NotUtf8Error) -> FileError:
    return FileError(name, "is JSON and not UTF-8; write it as UTF-8, or say --encoding", row=error.line, unit="line")


def _no_object(text: str) -> str:
    """Say what is wrong with a line."""
    fault = fault_of(text)
    why = f" (at character {fault.at + 1:,} {fault.what})" if fault else ""
    return f"is no JSON object on a line of its own{why}; write one object a line, or one array of objects"


def _no_array(name: str, content: str) -> FileError:
    """Say what is wrong with an array, and in which entry and line."""
    found = fault_of_array(content, _is_json)
    problem = "begins as a JSON array and is none"
    if found is None:
        return FileError(name, f"{problem}; write it again by a program")
    line = content.count("\n", 0, found.fault.at) + 1
    character = found.fault.at - content.rfind("\n", 0, found.fault.at)
    entry = f"entry {found.entry:,}, " if found.entry is not None else ""
    why = f"{problem} ({entry}at character {character:,} {found.fault.what})"
    return FileError(name, f"{why}; get it once more, or write it again by a program", row=line, unit="line")


def _is_json(text: str) -> bool:
    try:
        _raw.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _list_within(members: Members) -> str | None:
    """Return the name of the list, if any, that an object is only put around, as answers of APIs are."""
    if any(is_known(name) for name, value in members.items() if not isinstance(value, list | dict)):
        return None
    for name, value in members.items():
        if isinstance(value, list) and value and isinstance(value[0], dict) and any(map(is_known, value[0])):
            return name
    return None


def _longest(objects: Sequence[Members]) -> int:
    """Return the length of the longest text among values, those within others aside."""
    values = chain.from_iterable(map(dict.values, objects))
    return max((len(value) for value in values if type(value) is str), default=0)


def _has_nested(objects: Sequence[Members]) -> bool:
    return not {dict, list}.isdisjoint(map(type, chain.from_iterable(map(dict.values, objects))))


def _all_texts(take: Callable[[Members], Row], objects: Sequence[Members]) -> list[Row] | None:
    """Return the wanted values where each object has all of them and they are texts."""
    try:
        rows = list(map(take, objects))
    except KeyError:
        return None
    return rows if set(map(type, chain.from_iterable(rows))) <= {str} else None
