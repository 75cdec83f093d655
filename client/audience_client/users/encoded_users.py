"""The users of a batch as JSON: in memory while they are few, else in a private file."""

import io
from typing import BinaryIO

from audience_client.files.private_file import PrivateView, not_kept, private_file

HELD = 1 << 20
"""Bytes of a batch that stay in memory, so that larger batches take no more of it than small ones."""

READ_AHEAD = 1 << 16


class EncodedUsers:
    """A JSON array that grows by what is added, and is read as often as needed. Close it in the end."""

    def __init__(self, name: str, held: int | None = None) -> None:
        self._name = name
        self._held = HELD if held is None else held
        self._kept: BinaryIO = io.BytesIO()
        self._size = self._kept.write(b"[")
        self._is_in_memory = True

    def add(self, members: bytes) -> None:
        """Add JSON objects with commas between them. Raises FileError where there is no room for a private file."""
        try:
            if self._is_in_memory and self._size + len(members) > self._held:
                self._move_to_disk()
            self._size += self._kept.write(members if self._size == 1 else b"," + members)
        except OSError as error:
            raise not_kept(self._name, error) from error

    def finish(self) -> None:
        """Close the array. Raises FileError where there is no room."""
        try:
            self._size += self._kept.write(b"]")
            self._kept.flush()
        except OSError as error:
            raise not_kept(self._name, error) from error

    def open(self) -> BinaryIO:
        """Return the array from its beginning; several may read it in turn, in one thread."""
        return io.BufferedReader(PrivateView(self._kept), READ_AHEAD)

    def close(self) -> None:
        """Forget the users."""
        self._kept.close()

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        with self.open() as content:
            return content.read()

    def __del__(self) -> None:
        """Close what nobody took, such as a batch that was read when an upload was stopped."""
        self._kept.close()

    def _move_to_disk(self) -> None:
        written, self._kept = self._kept, private_file()
        self._is_in_memory = False
        with written:
            written.seek(0)
            self._kept.write(written.read())
