"""The folder of what we keep on this machine: whether it can be used, and that one uses it at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.errors import CommandError
from cli.settings.config import ConfigError
from cli.settings.environment import DATA


class InUseError(CommandError):
    """Another process uses the folder."""


def usable_folder(folder: Path) -> Path:
    """Return a folder in which files can be made; it is made where it is missing. Raises ConfigError."""
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except FileExistsError:
        raise ConfigError(f"{DATA}: {folder} is no folder; name one, or move that file away") from None
    except NotADirectoryError:
        raise ConfigError(f"{DATA}: a part of {folder} is no folder; name another one") from None
    except ValueError:
        raise ConfigError(f"{DATA}: a NUL character, which no folder's name has; remove it") from None
    except OSError as error:
        raise ConfigError(f"{DATA}: {folder} can't be written to ({error.strerror}); name another folder") from None
    return folder


@contextmanager
def only_one(what: str, folder: Path) -> Iterator[None]:
    """Let no other `up` (or `demo`) use a folder while the block is entered. Raises InUseError, by process."""
    with (folder / f"{what}.lock").open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(_in_use_message(lock.name, folder)) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _in_use_message(lock: str, folder: Path) -> str:
    number = Path(lock).read_text(encoding="utf-8").strip()
    process = f" (process {number})" if number.isdecimal() else ""
    return f"another one runs in {folder}{process}: end that, or set {DATA} to another folder"
