"""Which `audience up` runs where on this machine, so that commands find it from any working folder."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def folder_of(process: Mapping[str, str]) -> Path:
    """Return the folder of this user's notes: one file for each `up`, locked while that runs."""
    home = Path(process.get("HOME") or "~").expanduser()
    return Path(process.get("XDG_STATE_HOME") or home / ".local" / "state").absolute() / "audience" / "up"


@contextmanager
def noted(data: Path, process: Mapping[str, str]) -> Iterator[None]:
    """Note that `up` runs with this data folder while the block is entered; where nothing can be noted, do without."""
    path = folder_of(process) / str(os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        note = path.open("w", encoding="utf-8")
    except OSError:
        yield
        return
    with note:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.write(str(data))
        note.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def data_folders(process: Mapping[str, str]) -> list[Path]:
    """Return the data folders of those that run now; notes of others are left over, and removed."""
    try:
        notes = sorted(folder_of(process).iterdir())
    except OSError:
        return []
    return sorted(data for note in notes if (data := _live(note)) is not None)


def _live(note: Path) -> Path | None:
    try:
        with note.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Path(file.read())
            note.unlink(missing_ok=True)
    except OSError:
        pass
    return None
