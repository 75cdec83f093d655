"""Where settings come from: the environment, a `.env` file, and what `audience up` is running with."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.env_file import read_env_file
from cli.running_ups import data_folders
from sandbox import CREDENTIALS

DATA = "AUDIENCE_DATA"
ENV_FILE = "AUDIENCE_ENV_FILE"
PROVIDERS = "AUDIENCE_PROVIDERS"
STATE_FILE = "up.json"


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables, and where each comes from. An empty variable is not set."""

    values: Mapping[str, str] = field(repr=False)
    origins: Mapping[str, str]

    @property
    def data(self) -> Path:
        """Folder of what we keep on this machine."""
        return Path(self.values.get(DATA, ".data")).absolute()


CHOOSING = (DATA, PROVIDERS, "KAFKA_BOOTSTRAP_SERVERS", "AUDIENCE_LISTEN")
"""Settings that say what a command is about, so that it looks for no `up` elsewhere."""


class SeveralUpsError(Exception):
    """Several `audience up` run on this machine, and none in this folder: which is meant?"""


def read_environment(process: Mapping[str, str], *, anywhere: bool = False) -> Environment:
    """Return the settings: the process's environment first, then `.env`, then what `up` runs with.

    With `anywhere` and nothing set or running here it may be an `up` of another folder, whose data folder is then
    ours. Raises SeveralUpsError, and EnvFileError where a file is named that is missing, or has a line that can't be
    read.
    """
    mine = {name: value for name, value in process.items() if value}
    file = process.get(ENV_FILE, ".env")
    from_file = read_env_file(Path(file), is_chosen=ENV_FILE in process) if file else {}
    merged = from_file | mine
    origins = dict.fromkeys(from_file, file) | dict.fromkeys(mine, "environment")
    data = Path(merged.get(DATA, ".data")).absolute()
    running = _running(data) if PROVIDERS not in merged else {}
    if anywhere and not running and not any(name in merged for name in CHOOSING):
        running = _elsewhere(process)
    added = {name: value for name, value in running.items() if name not in merged or _is_sandboxed(name, running)}
    return Environment(merged | added, origins | dict.fromkeys(added, "audience up"))


def _elsewhere(process: Mapping[str, str]) -> dict[str, str]:
    """Return what the one `up` of another folder runs with, nothing where none runs. Raises SeveralUpsError."""
    found = {data: values for data in data_folders(process) if (values := _running(data))}
    if len(found) > 1:
        raise SeveralUpsError(f"several `audience up` run here: say which by {DATA}=FOLDER, one of {_listed(found)}")
    return next(({**values, DATA: str(data)} for data, values in found.items()), {})


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(map(str, folders))


def _is_sandboxed(name: str, running: Mapping[str, str]) -> bool:
    """Tell whether a variable is a credential or the URL of a platform that the sandbox plays."""
    return any(
        f"{p.upper()}_BASE_URL" in running and name in (*c, f"{p.upper()}_BASE_URL") for p, c in CREDENTIALS.items()
    )


def _running(data: Path) -> dict[str, str]:
    """Return what `up` in this data folder runs with; nothing if it is not running."""
    try:
        state = json.loads((data / STATE_FILE).read_text(encoding="utf-8"))
        os.kill(state["pid"], 0)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):  # half a file, or another one of that name
        return {}
    values: dict[str, str] = dict(state["environment"])
    for provider in state["sandbox"]:
        values |= CREDENTIALS[provider]
    return values


def write_state(data: Path, environment: Mapping[str, str], sandbox: list[str]) -> Path:
    """Record what runs, without secrets, for other commands; return the file, to be removed at the end."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / STATE_FILE
    state = {"pid": os.getpid(), "environment": dict(environment), "sandbox": sandbox}
    path.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
    return path
