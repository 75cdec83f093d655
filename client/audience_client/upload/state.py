"""What is kept of an upload while it is under way: enough to go on with it, nothing of the people in it."""

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

import msgspec
import platformdirs

from audience_client.columns.consent import Consent
from audience_client.errors import AudienceError
from audience_client.http.batches import AudienceType, Mode

VERSION: Final = 1
"""Of the form of this file."""

MAX_SESSION_ID = 2**53 - 1
"""JSON's numbers are exact up to here in every language."""


class StateError(AudienceError):
    """What is kept of uploads can't be written or read; the message names the folder."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One upload. `content` and `path` are fingerprints, `fields` maps fields to the numbers of columns."""

    version: int = VERSION
    session_id: int
    begun: datetime
    server: str
    name: str
    type: AudienceType
    mode: Mode
    channels: tuple[str, ...]
    disable_prefix: bool
    pull_date: date | None
    country: str | None
    limit: int | None
    encoding: str | None
    separator: str | None
    sheet: str | None
    fields: Mapping[str, tuple[int, ...]]
    only_consented: bool
    consents: tuple[Consent, ...] = ()
    content: str
    path: str
    reader: int
    batch_size: int
    total_batches: int
    total_users: int
    is_in_log: bool = False
    """Whether every batch is; what is left is to say what became of them."""


_state_in = msgspec.json.Decoder(State).decode


def new_session_id() -> int:
    """Return an id that nobody else has."""
    return 1 + secrets.randbelow(MAX_SESSION_ID)


def default_folder() -> Path:
    """Return the folder in which the system wants a user's programs to keep what they are at."""
    return platformdirs.user_state_path("audience-client", appauthor=False) / "uploads"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Where states are kept, each in a file that only its user can read."""

    path: Path

    def save(self, state: State) -> None:
        """Write a state in one step, onto the disk when this returns. Raises StateError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
            _write(self._file(state.session_id), msgspec.json.encode(state))
        except OSError as error:
            raise self._unusable(error) from None

    def delete(self, session_id: int) -> None:
        """Forget an upload. Raises StateError."""
        try:
            self._file(session_id).unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from None

    def load(self, session_id: int) -> State | None:
        """Return the state of an upload, None where there is none. Raises StateError where it can't be read."""
        try:
            return _read(self._file(session_id))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from None
        except msgspec.MsgspecError:
            raise StateError(
                f"{self._file(session_id)}: is no state that this version reads; "
                "go on with the version that wrote it, or begin a new upload by --new"
            ) from None

    def all(self) -> list[State]:
        """Return all states that can be read, the newest first. Raises StateError where the folder can't be."""
        found = []
        try:
            for file in self.path.glob("*.json"):
                with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
                    found.append(_read(file))
        except OSError as error:
            raise self._unusable(error) from None
        return sorted(found, key=lambda state: state.begun, reverse=True)

    def _file(self, session_id: int) -> Path:
        return self.path / f"{session_id}.json"

    def _unusable(self, error: OSError) -> StateError:
        why = error.strerror or type(error).__name__
        return StateError(f"what an upload needs to be resumed can't be kept in {self.path} ({why}); make room there")


def _read(file: Path) -> State:
    """Return a state. Raises OSError, MsgspecError where it is none of this version."""
    state = _state_in(file.read_bytes())
    if state.version != VERSION:
        raise msgspec.ValidationError("another version")
    return state


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all (0600). Raises OSError."""
    beside = file.with_suffix(f".{secrets.token_hex(4)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        beside.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def _sync_folder(folder: Path) -> None:
    """Put a folder's list of names onto the disk, where the system can (Windows has no such call)."""
    if os.name != "nt":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
