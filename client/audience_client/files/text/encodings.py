"""Which encoding a text is in, and its content in blocks that end where lines do."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from audience_client.errors import FileError, InputError
from audience_client.files.kinds import utf_16_without_bom
from audience_client.files.source import Source
from audience_client.files.table import Notice

BLOCK = 1 << 16
"""Bytes that are read at once."""

MAX_LINE = 8 << 20
"""Characters of a line; a longer one is no table's."""

GUESS = "cp1252"
"""What Windows and Excel write in Western Europe and America; ISO-8859-1 has the same letters."""

EXAMPLES = 5
_WORD = re.compile(r"\w*[^\x00-\x7f\W]\w*")
_NO_TEXT = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape", "utf_7"})
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
OTHERS = "cp1250 (Central Europe), mac-roman, iso-8859-15, shift-jis, gb18030"


@dataclass(slots=True)
class Encoding:
    """The encoding of a file; a guess is one that somebody has to look at."""

    name: str
    is_stated: bool = False
    is_guess: bool = False
    examples: list[str] = field(default_factory=list)

    def notices(self) -> tuple[Notice, ...]:
        """Say how a guess reads what is not ASCII."""
        if not self.is_guess:
            return ()
        text = f"it is not UTF-8 and is read as Windows-1252; if the names shown are wrong, say --encoding: {OTHERS}"
        return (Notice(text=text, examples=tuple(self.examples)),)


class NotUtf8Error(Exception):
    """A text that says nothing of its encoding is not UTF-8, and nothing in it was that before."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line


def stated_encoding(name: str) -> Encoding:
    """Return the encoding that a caller names. Raises InputError where there is none of that name."""
    try:
        found = codecs.lookup(name)
        is_text = "a;1\n".encode(found.name).decode(found.name) == "a;1\n"
    except (LookupError, UnicodeError, TypeError, ValueError):
        is_text = False
    if not is_text or found.name.replace("-", "_") in _NO_TEXT:
        raise InputError(f"--encoding: no such encoding is known; name one such as utf-8, cp1252, {OTHERS}")
    return Encoding(found.name, is_stated=True)


def first_encoding(head: bytes) -> Encoding:
    """Return what a text is most likely in by what it begins with."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return Encoding(name)
    return Encoding(utf_16_without_bom(head) or "utf-8")


def text_blocks(source: Source, encoding: Encoding, *, is_one_line: bool = False) -> Iterator[str]:
    """Yield a text in blocks, each but the last up to the end of a line, unless all of it may be one.

    Raises NotUtf8Error where another encoding may be tried, FileError where none can.
    """
    lines, is_ascii, rest = 0, True, ""
    try:
        for text in _decoded(source, encoding):
            is_ascii = is_ascii and text.isascii()
            whole, rest = (text, "") if is_one_line else _cut(rest + text)
            lines += whole.count("\n")
            if len(rest) > MAX_LINE:
                problem = f"is longer than {MAX_LINE:,} characters; is this a table?"
                raise FileError(source.name, problem, row=lines + 1, unit="line")
            if whole:
                yield whole
    except UnicodeError as error:
        raise _undecodable(source.name, encoding, error, lines, is_ascii=is_ascii) from error
    if rest:
        yield rest


def _decoded(source: Source, encoding: Encoding) -> Iterator[str]:
    """Yield a text without its mark, cut anywhere; note how a guess reads what is not ASCII."""
    decoder = codecs.getincrementaldecoder(encoding.name)()
    content = source.open()
    mark = "\ufeff"
    try:
        while data := content.read(BLOCK):
            text = decoder.decode(data).removeprefix(mark)
            mark = "" if text else mark
            if encoding.is_guess and not text.isascii():
                _note_examples(encoding, text)
            yield text
        yield decoder.decode(b"", final=True)
    finally:
        content.close()


def _cut(text: str) -> tuple[str, str]:
    """Cut behind the last end of a line: that of old Macs where there is no other."""
    at = text.rfind("\n") + 1 or text.rfind("\r", 0, -1) + 1
    return text[:at], text[at:]


def _undecodable(name: str, encoding: Encoding, error: UnicodeError, lines: int, *, is_ascii: bool) -> Exception:
    before = bytes(error.object[: error.start]) if isinstance(error, UnicodeDecodeError) else b""
    line = lines + before.count(b"\n") + 1
    if encoding.is_guess:
        return FileError(name, f"is neither UTF-8 nor Windows-1252; say --encoding: {OTHERS}", row=line, unit="line")
    if encoding.is_stated or encoding.name != "utf-8":
        problem = f"is not {encoding.name}; say another --encoding, or save the file as UTF-8"
        return FileError(name, problem, row=line, unit="line")
    if is_ascii and before.isascii():
        return NotUtf8Error(line)
    problem = "is not UTF-8, though lines above it are; save the file as UTF-8 where it was made, or say --encoding"
    return FileError(name, problem, row=line, unit="line")


def _note_examples(encoding: Encoding, text: str) -> None:
    for word in _WORD.finditer(text):
        if len(encoding.examples) >= EXAMPLES:
            return
        if word[0] not in encoding.examples:
            encoding.examples.append(word[0][:40])
