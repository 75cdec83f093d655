"""A file that can be read from its beginning as often as needed, also where it comes from a pipe or is compressed."""

import hashlib
import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from audience_client.errors import FileError
from audience_client.files.inflating import Inflate, Limited, Readable, inflater_of, too_much_unpacked
from audience_client.files.private_file import BUFFER, PrivateView, private_file, spool

HEAD = 65_536
"""Bytes from which is told what a file is."""


class Source:
    """A file's content, inflated; it must not change while it is used.

    With `held`, nothing of it reaches a disk: what must be read again is kept in memory, up to so many bytes each time.
    """

    def __init__(
        self,
        name: str,
        open_raw: Callable[[], BinaryIO],
        spooled: BinaryIO | None = None,
        *,
        held: int | None = None,
    ) -> None:
        self.name = name
        self.held = held
        self._open_raw = open_raw
        self._spooled = [] if spooled is None else [spooled]
        self._inflated: BinaryIO | None = None
        with open_raw() as raw:
            self._stamp = _stamp(raw)
            self._inflate: Inflate | None = inflater_of(name, raw)

    def open(self) -> Readable:
        """Return the content from its beginning. Raises FileError where the file has changed since the first look."""
        raw = self._open_unchanged()
        if self._inflate is None:
            return raw
        content = self._inflate(self.name, raw)
        return content if self.held is None else Limited(self.name, content, self.held)

    def keep(self) -> BinaryIO:
        """Open a place for what must be read again; whoever asks closes it."""
        return private_file() if self.held is None else _Held(self.name, self.held)

    def open_seekable(self) -> BinaryIO:
        """Return the content as a file in which can be jumped; what is compressed is inflated into a private file."""
        if self._inflate is None:
            return self._open_unchanged()
        if self._inflated is None:
            content = self.open()
            try:
                self._inflated = spool(self.name, content, self.keep)
            finally:
                content.close()
            self._spooled.append(self._inflated)
        return io.BufferedReader(PrivateView(self._inflated), BUFFER)

    def head(self) -> bytes:
        """Return what the content begins with."""
        content = self.open()
        try:
            return content.read(HEAD)
        finally:
            content.close()

    def check_unchanged(self) -> None:
        """Raise FileError where somebody wrote to the file since the first look."""
        self._open_unchanged().close()

    def fingerprint(self) -> str:
        """Return what is the same only for the same bytes. Raises FileError where the file has changed."""
        with self._open_unchanged() as raw:
            digest = hashlib.blake2b(digest_size=32)
            while content := raw.read(BUFFER):
                digest.update(content)
        self.check_unchanged()
        return digest.hexdigest()

    def close(self) -> None:
        """Delete what was spooled."""
        while self._spooled:
            self._spooled.pop().close()

    def _open_unchanged(self) -> BinaryIO:
        raw = self._open_raw()
        if _stamp(raw) != self._stamp:
            raw.close()
            raise FileError(self.name, "changed while it was read; upload it when nothing writes to it")
        return raw


class _Held(io.BytesIO):
    """Memory up to a bound."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__()
        self._name = name
        self._most = most

    def write(self, content: bytes, /) -> int:  # type: ignore[override] # nobody writes anything else
        """Add content at the end. Raises FileError beyond the bound."""
        if self.tell() + len(content) > self._most:
            raise too_much_unpacked(self._name, self._most)
        return super().write(content)


class SourceBacked:
    """What a table, or what it is made of, has of the file that it is read from again and again."""

    _source: Source

    def check_unchanged(self) -> None:
        """Raise FileError where somebody wrote to the file."""
        self._source.check_unchanged()

    def fingerprint(self) -> str:
        """Return what is the same only for the same bytes. Raises FileError where the file has changed."""
        return self._source.fingerprint()

    def close(self) -> None:
        """Let go of the file, and of what was kept of it."""
        self._source.close()


def open_source(path: str | Path) -> Source:
    """Return what a path names; `-` is standard input. Pipes go to a private file that is deleted. Raises FileError."""
    is_input = str(path) == "-"
    name = "standard input" if is_input else str(path) or '""'
    try:
        if is_input and sys.stdin is None:
            raise FileError(name, "is closed; pipe a file into the command, or name one")
        if is_input:
            spooled = spool(name, sys.stdin.buffer)
        elif stat.S_ISREG(Path(path).stat().st_mode):
            return Source(name, lambda: _open(name, path))
        else:
            with open(path, "rb") as pipe:
                spooled = spool(name, pipe)
    except OSError as error:
        raise _unreadable(name, error) from error
    except ValueError as error:
        raise FileError(
            name.replace("\0", "�"), "is no path, as it holds a zero byte; name a file that you may read"
        ) from error
    return spooled_source(name, spooled)


def spooled_source(name: str, spooled: BinaryIO) -> Source:
    """Return a private file as a source, which closes it. Raises FileError."""
    try:
        return Source(name, lambda: io.BufferedReader(PrivateView(spooled), BUFFER), spooled)
    except BaseException:
        spooled.close()
        raise


def held_source(name: str, content: BinaryIO, held: int) -> Source:
    """Return a file that is in memory and stays there, and closes it. Raises FileError."""
    try:
        return Source(name, lambda: io.BufferedReader(PrivateView(content), BUFFER), content, held=held)
    except BaseException:
        content.close()
        raise


def _open(name: str, path: str | Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: OSError) -> FileError:
    return FileError(name, f"can't be read ({error.strerror or type(error).__name__}); name a file that you may read")


def _stamp(raw: BinaryIO) -> tuple[int, int] | None:
    """Return what changes when a file is written to; nobody else can write to what was spooled."""
    if isinstance(getattr(raw, "raw", None), PrivateView):
        return None
    found = os.fstat(raw.fileno())
    return found.st_size, found.st_mtime_ns
