"""Private files: what must lie on the disk for a while, for this process alone, and is deleted."""

import io
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import BinaryIO, cast

from audience_client.errors import FileError
from audience_client.files.inflating import Readable

BUFFER = 1 << 20
"""Bytes that are copied or read ahead at once."""

Keep = Callable[[], BinaryIO]
"""Opens a place for what must be read again."""


def private_file() -> BinaryIO:
    """Open a file that only we can open (0600, without a name where the system can) and that is deleted."""
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="audience-"))  # on Windows it is a wrapper of one


def spool(name: str, content: Readable, keep: Keep = private_file) -> BinaryIO:
    """Copy content to a place of its own. Raises FileError where there is no room."""
    kept = keep()
    try:
        shutil.copyfileobj(content, kept, BUFFER)
        kept.flush()
    except OSError as error:
        kept.close()
        raise not_kept(name, error) from error
    except BaseException:
        kept.close()
        raise
    return kept


def not_kept(name: str, error: OSError) -> FileError:
    """Say that there is no room for a private file."""
    why = error.strerror or type(error).__name__
    return FileError(name, f"can't be kept in {tempfile.gettempdir()} ({why}); set TMPDIR to a folder with room")


class PrivateView(io.RawIOBase):
    """A spooled file with a place of its own."""

    def __init__(self, kept: BinaryIO) -> None:
        self._kept = kept
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override] # any buffer will do
        self._kept.seek(self._at)
        content = self._kept.read(len(buffer))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._end()}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def _end(self) -> int:
        return self._kept.seek(0, os.SEEK_END)
