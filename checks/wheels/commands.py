"""Commands of other programs: bounded in time, ended with all that they started, told where they fail."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

from streams.processes.lifeline import Lifeline

POLL = 0.1
SHOWN_LINES = 30
FOREIGN = ("AUDIENCE_", "KAFKA_", "PYTHON", "SCHEMA_REGISTRY_")


class CheckFailedError(Exception):
    """What was built is not as it should be; the message says what, and ends with what was printed."""


def clean_environment(state: Path) -> dict[str, str]:
    """Return an environment that no checkout, setting or running `audience up` reaches; `state` is for what is kept."""
    kept = {name: value for name, value in os.environ.items() if name == "KAFKA_HOME" or not name.startswith(FOREIGN)}
    return {**kept, "AUDIENCE_DATA": str(state / "data"), "XDG_STATE_HOME": str(state / "state")}


def run(command: Sequence[str | Path], *, within: Path, environment: Mapping[str, str], limit: float) -> str:
    """Run a command in a folder to its end; return what it printed. Raises CheckFailedError."""
    with _started(command, within, environment, subprocess.PIPE) as process:
        try:
            output = process.communicate(timeout=limit)[0].decode(errors="replace")
        except subprocess.TimeoutExpired as error:
            raise _failed(
                command, f"took more than {limit:.0f} s", (error.output or b"").decode(errors="replace")
            ) from None
        if process.returncode:
            raise _failed(command, f"ended with {process.returncode}", output)
    return output


@contextmanager
def running(
    command: Sequence[str | Path], *, within: Path, environment: Mapping[str, str], ready: str, limit: float
) -> Iterator[str]:
    """Run a command of ours while the block is entered; hand on what it printed until `ready` was in it.

    It ends with us, even where we are killed. Raises CheckFailedError.
    """
    path = within / "running.log"
    with (
        closing(Lifeline()) as lifeline,
        path.open("wb") as log,
        _started(command, within, {**environment, **lifeline.environ()}, log, lifeline.fd) as process,
    ):
        deadline = time.monotonic() + limit
        while ready not in (output := path.read_text(errors="replace")):
            if (code := process.poll()) is not None:
                raise _failed(command, f"ended with {code} before it was ready", output)
            if time.monotonic() > deadline:
                raise _failed(command, f"was not ready within {limit:.0f} s", output)
            time.sleep(POLL)
        yield output


@contextmanager
def _started(
    command: Sequence[str | Path], within: Path, environment: Mapping[str, str], output: int | IO[bytes], *fds: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command as the leader of a group; none of the group is left behind."""
    with subprocess.Popen(  # noqa: S603 -- our own command lines
        list(map(str, command)), cwd=within, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, pass_fds=fds,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process in order, and its group by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _failed(command: Sequence[str | Path], reason: str, output: str) -> CheckFailedError:
    words = " ".join(Path(word).name if Path(word).is_absolute() else str(word) for word in command)
    return CheckFailedError("\n".join([f"`{words}` {reason}", *output.splitlines()[-SHOWN_LINES:]]))
