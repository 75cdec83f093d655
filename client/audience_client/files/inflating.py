"""Compressed files: what inflates them, and how far."""

import gzip
import importlib
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import BinaryIO, Protocol

from audience_client.errors import FileError, MissingExtraError

MAX_INFLATED = 64 << 30
"""Bytes that a compressed file may become."""

MAX_RATIO = 1_100
"""How many times its size it may become beyond `ALWAYS_INFLATED`; gzip's and zip's own method end at some 1,030."""

ALWAYS_INFLATED = 1 << 30

GZIP, ZSTD, ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
ENCRYPTED = 1
"""Bit of a zip's member."""

OF_SPREADSHEETS = (
    "xl/workbook.xml",
    "xl/workbook.bin",
    "content.xml",
    "[Content_Types].xml",
    "Index/Document.iwa",
    "Index.zip",
)
"""Members by which a zip is a document rather than an archive."""


class Readable(Protocol):
    """What is read once, from its beginning."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes, none at the end."""

    def close(self) -> None:
        """Let go of it."""


Inflate = Callable[[str, BinaryIO], Readable]
"""Opens the content of a file of a name."""


def inflater_of(name: str, raw: BinaryIO) -> Inflate | None:
    """Return what inflates a file, None where it is not compressed. Raises FileError where it can't be."""
    begins = raw.read(4)
    if begins.startswith(GZIP):
        return _of_gzip
    if begins == ZSTD:
        _zstd(name)
        return _of_zstd
    if begins in (ZIP, EMPTY_ZIP):
        raw.seek(0)
        return _zip_inflater(name, raw)
    return None


def _of_gzip(name: str, raw: BinaryIO) -> Readable:
    return _Bounded(name, gzip.GzipFile(fileobj=raw), raw)


def _of_zstd(name: str, raw: BinaryIO) -> Readable:
    return _Bounded(name, _zstd(name)(raw), raw)


def _zstd(name: str) -> Callable[[BinaryIO], BinaryIO]:
    """Return what opens Zstandard: Python's own from 3.14 on, else its backport."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            found: Callable[[BinaryIO], BinaryIO] = importlib.import_module(module).ZstdFile
        except ImportError:
            continue
        return found
    raise MissingExtraError(name, "Zstandard (.zst)")


def _zip_inflater(name: str, raw: BinaryIO) -> Inflate | None:
    """Return what opens the one member of an archive, None where the zip itself is a document."""
    try:
        with zipfile.ZipFile(raw) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise _damaged(name) from error
    if any(member.filename in OF_SPREADSHEETS for member in members):
        return None
    files = [member for member in members if _is_data(member)]
    if len(files) != 1:
        found = "no file" if not files else f"{len(files)} files"
        raise FileError(name, f"the archive holds {found}; unpack it and name one file at a time")
    if files[0].flag_bits & ENCRYPTED:
        raise FileError(name, "the archive is locked by a password; unpack it first")
    return lambda name, raw: _of_member(name, raw, files[0].filename)


def _is_data(member: zipfile.ZipInfo) -> bool:
    """Tell whether somebody put a member into the archive, rather than macOS or Windows."""
    path = PurePosixPath(member.filename)
    return (
        not member.is_dir()
        and path.parts[0] != "__MACOSX"
        and path.name not in (".DS_Store", "desktop.ini", "Thumbs.db")
    )


def _of_member(name: str, raw: BinaryIO, member: str) -> Readable:
    try:
        return _Bounded(name, zipfile.ZipFile(raw).open(member), raw)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _damaged(name) from error


class _Bounded:
    """Inflates a file up to the bounds."""

    def __init__(self, name: str, content: Readable | BinaryIO, raw: BinaryIO) -> None:
        self._name = name
        self._content = content
        self._raw = raw
        self._inflated = 0
        self._most = min(MAX_INFLATED, max(ALWAYS_INFLATED, MAX_RATIO * _size(raw)))

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes. Raises FileError where the file is damaged or becomes too large."""
        try:
            content = self._content.read(size)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, struct.error) as error:
            raise _damaged(self._name, self._inflated) from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":
                raise
            raise _damaged(self._name, self._inflated) from error
        self._inflated += len(content)
        if self._inflated > self._most:
            raise FileError(
                self._name, f"becomes more than {self._most >> 30} GiB when unpacked; unpack it and look at it"
            )
        return content

    def close(self) -> None:
        """Let go of the file."""
        self._content.close()
        self._raw.close()


class Limited:
    """Content of which no more than so many bytes are read."""

    def __init__(self, name: str, content: Readable, most: int) -> None:
        self._name = name
        self._content = content
        self._left = self._most = most

    def read(self, size: int = -1, /) -> bytes:
        """Return at most so many bytes. Raises FileError where there are more than may be read."""
        content = self._content.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise too_much_unpacked(self._name, self._most)
        return content

    def close(self) -> None:
        """Let go of it."""
        self._content.close()


def too_much_unpacked(name: str, most: int) -> FileError:
    """Say that a file becomes more than can be held."""
    return FileError(name, f"becomes more than {most >> 20} MiB when unpacked, which is more than is held at once here")


def _size(raw: BinaryIO) -> int:
    at = raw.tell()
    size = raw.seek(0, 2)
    raw.seek(at)
    return size


def _damaged(name: str, behind: int = 0) -> FileError:
    where = f", only some {behind:,} bytes of what is in it" if behind else ""
    return FileError(name, f"is cut off or damaged, as it can't be unpacked to its end{where}; get it once more")
