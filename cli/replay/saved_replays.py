"""What is kept of each replay on this machine, so that it can be resumed: what was asked for, and no more."""

import contextlib
import fcntl
import os
import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from cli.errors import CommandError
from cli.replay.selection import Choice

_ID = re.compile(r"r-[0-9a-f]{8}")


class ReplayError(CommandError):
    """A replay can't begin, or did not get everything through."""


class Replay(Struct, frozen=True, kw_only=True, rename="camel"):
    """A replay: what it sends to whom, how fast, and up to which end of the log."""

    id: str
    created_at: datetime
    log: str
    """The cluster and topic that offsets are of."""
    log_id: str | None = None
    """Kafka's id of that topic, another one where it was made anew; None where it was not known."""
    ends: list[int]
    targets: list[str]
    choice: Choice
    rate: float
    with_attributes: bool = False
    is_done: bool = False


def new_id() -> str:
    """Return an id that no other replay has."""
    return f"r-{secrets.token_hex(4)}"


def path_of(data: Path, replay_id: str) -> Path:
    """Return where a replay is kept. Raises ReplayError where the id is none."""
    if not _ID.fullmatch(replay_id):
        raise ReplayError("write the id of a replay as it was printed, such as r-1a2b3c4d")
    return data / "replays" / f"{replay_id}.json"


def save(data: Path, replay: Replay) -> None:
    """Keep a replay, at once or not at all."""
    path = path_of(data, replay.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    with beside.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(replay)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def find(data: Path, replay_id: str) -> Replay:
    """Return a replay that was begun here. Raises ReplayError."""
    path = path_of(data, replay_id)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Replay)
    except FileNotFoundError:
        raise ReplayError(f"there is no {path}: a replay is resumed with the AUDIENCE_DATA of its start") from None
    except msgspec.DecodeError:
        raise ReplayError(f"{path} is damaged: begin a new replay, which leaves the same members") from None


def known(data: Path) -> list[Replay]:
    """Return the replays that were begun with this data folder; what is damaged is left out."""
    found = []
    for path in (data / "replays").glob("r-*.json"):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Replay))
    return found


class Runner(Struct, frozen=True):
    """The process that runs a replay."""

    pid: int
    host: str


def runner_of(data: Path, replay_id: str) -> Runner | None:
    """Return who runs a replay now, None where nobody does. Raises ReplayError where the id is none."""
    try:
        with path_of(data, replay_id).with_suffix(".lock").open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return msgspec.json.decode(lock.read(), type=Runner)
    except (FileNotFoundError, msgspec.MsgspecError):
        pass
    return None


@contextmanager
def alone(data: Path, replay_id: str) -> Iterator[None]:
    """Let no other process on this machine run the same replay, and note who does. Raises ReplayError."""
    path = path_of(data, replay_id).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ReplayError(f"{replay_id} is running already") from None
        try:
            lock.truncate(0)
            lock.write(msgspec.json.encode(Runner(pid=os.getpid(), host=socket.gethostname())))
            lock.flush()
            yield
        finally:
            path.unlink(missing_ok=True)
