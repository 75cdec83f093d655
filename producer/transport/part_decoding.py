"""Parts that say how their bytes are to be read: transfer encodings and charsets, decoded to UTF-8."""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from multipart import MultipartSegment

from producer.transport.charsets import (
    UTF8,
    WIDE,
    CharsetError,
    bom_of,
    codecs_of,
    is_ascii_proof,
    is_utf8,
    shown,
    to_utf8,
)

BOM = b"\xef\xbb\xbf"
PLAIN = frozenset({"", "7bit", "8bit", "binary"})

_LINES = b" \t\r\n"
_NOT_QUOTED = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*(?:\r?\n|\Z))")
_NOT_LATIN_1 = re.compile(rb"[\x80-\x9f]|[\xa0-\xff]{3}")


@dataclass(frozen=True, slots=True)
class Labels:
    """What a part says of its bytes. `is_text` where it is no file, nor of a type other than text."""

    encoding: str = ""
    charset: str = ""
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    """Parts in UTF-8, and what is wrong with those that can't be read, as `part: what to send instead`."""

    parts: dict[str, bytes]
    faults: list[str]


def labels_of(segment: MultipartSegment) -> Labels:
    """Return what the headers of a part say."""
    encoding = segment.header("Content-Transfer-Encoding", "").partition(";")[0].strip().lower()
    is_text = segment.filename is None and segment.content_type in (None, "text/plain")
    return Labels(encoding, segment.charset or "", is_text)


def is_plain(data: bytes, labels: Labels) -> bool:
    """Tell whether a part is read as it is."""
    return labels.encoding in PLAIN and codecs_of(labels.charset or UTF8) == (UTF8,) and bom_of(data) is None


def decode_parts(parts: Mapping[str, bytes], labels: Mapping[str, Labels]) -> Decoded:
    """Decode all parts: first their transfer encodings, then their charsets."""
    decoded = Decoded({}, [])
    for name, data in parts.items():
        try:
            decoded.parts[name] = _transferred(data, labels[name].encoding)
        except ValueError as error:
            decoded.faults.append(f"{name}: {error}")
    proved = {labels[name].charset for name, data in decoded.parts.items() if b"\0" in data or not is_utf8(data)}
    for name, data in decoded.parts.items():
        charset = labels[name].charset
        try:
            decoded.parts[name] = _in_utf8(data, charset, is_proved=charset in proved)
        except CharsetError as error:
            decoded.faults.append(f"{name}: {error}")
    return decoded


def latin_1(parts: Mapping[str, bytes], labels: Mapping[str, Labels]) -> dict[str, bytes] | None:
    """Return parts with text that names no charset read as ISO-8859-1, None where that changes nothing.

    It was HTTP/1.1's charset for text (RFC 2616, 3.7.1), and Java clients of that time write it without a word.
    Bytes that are rare in it, but not in other charsets, prove that it is none.
    """
    meant = {
        name: to_utf8(data, "latin_1")
        for name, data in parts.items()
        if labels[name].is_text and not labels[name].charset and not is_utf8(data) and not _NOT_LATIN_1.search(data)
    }
    return {**parts, **meant} if meant else None


def _transferred(data: bytes, encoding: str) -> bytes:
    """Undo a transfer encoding. Raises ValueError, which says what to send."""
    if encoding in PLAIN:
        return data
    if encoding == "base64":
        return _from_base64(data)
    if encoding == "quoted-printable":
        if _NOT_QUOTED.search(data):
            raise ValueError("its Content-Transfer-Encoding is quoted-printable, and its content is not")
        return binascii.a2b_qp(data)
    raise ValueError("Content-Transfer-Encoding: leave it out, or send 8bit, binary, base64 or quoted-printable")


def _from_base64(data: bytes) -> bytes:
    try:
        return binascii.a2b_base64(data.translate(None, _LINES), strict_mode=True)
    except binascii.Error:
        raise ValueError("its Content-Transfer-Encoding is base64, and its content is not") from None


def _in_utf8(data: bytes, charset: str, *, is_proved: bool) -> bytes:
    """Return a part in UTF-8. What is valid UTF-8 is that, as many label it wrongly. Raises CharsetError.

    Of UTF-16 and UTF-32 valid UTF-8 proves nothing; but who writes them sends a NUL in some part that says so.
    """
    codecs = codecs_of(charset or UTF8)
    is_wide = bool(WIDE.intersection(codecs)) and is_proved
    if bom := bom_of(data):
        codecs = (bom,)
    elif not is_wide and is_utf8(data) and is_ascii_proof(charset, data):
        return data
    if not codecs:
        raise CharsetError(f"the charset {shown(charset)} is not read here; send UTF-8")
    if codecs == (UTF8,):
        return data  # who reads the part says where it is wrong
    for codec in codecs:
        try:
            return to_utf8(data, codec)
        except UnicodeError:
            continue
    raise CharsetError(f"not of the charset {shown(charset)}; send UTF-8")
