"""Which process of this user is to have a port: what was found free can be taken before somebody listens there."""

import errno
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.processes.file_locks import lock_file
from streams.processes.ports import free_port, is_free, near_ports


def own_folder() -> Path:
    """Return the folder for this user's locks, which all processes of theirs find."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"audience-ports-{os.getuid()}"


@dataclass(slots=True)
class PortLocks:
    """Locks on ports, held until this is closed or the process ends, however it does; children inherit none.

    Where there can be no locks, such as where the folder is somebody else's, a port is had that is free now.
    """

    folder: Path = field(default_factory=own_folder)
    _held: dict[tuple[str, int], int] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lock in self._held.values():
            os.close(lock)
        self._held.clear()

    def take(self, host: str, port: int) -> bool:
        """Have a port that is free and that no other process has; tell whether it is so, also of one that is had."""
        if self._is_locked(host, port) and is_free(host, port):
            return True
        if (lock := self._held.pop((host, port), None)) is not None:
            os.close(lock)
        return False

    def pick(self, host: str, preferred: int) -> int:
        """Have the preferred port if it can be had, else the next one that can, else any; return it."""
        near = next((port for port in near_ports(preferred) if self.take(host, port)), None)
        if near is not None:
            return near
        while not self.take(host, port := free_port(host)):
            pass
        return port

    def _is_locked(self, host: str, port: int) -> bool:
        """Lock a port, and tell whether it is ours; it is where nobody can lock anything."""
        if (host, port) in self._held:
            return True
        try:
            self._held[host, port] = self._lock(f"{host.replace(':', '_').replace('/', '_')}-{port}.lock")
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def _lock(self, name: str) -> int:
        """Lock a file in the folder, which is made where it is missing. Raises OSError, also where it is not ours."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.folder.lstat().st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "somebody else's folder")
        return lock_file(self.folder / name)
