"""Where settings come from: the environment, a `.env` file, and what `audience up` is running with."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from cli.errors import CommandError
from cli.settings.env_file import read_env_file
from cli.settings.running_ups import data_folders
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


LISTENS: Mapping[str, str] = MappingProxyType(
    {"serve": "AUDIENCE_LISTEN", "sandbox": "AUDIENCE_SANDBOX_LISTEN", "consume": "AUDIENCE_HEALTH_LISTEN"}
)
"""The setting by which a command is told where to listen."""

KAFKA = "KAFKA_BOOTSTRAP_SERVERS"
PREFIX = "AUDIENCE_TOPIC_PREFIX"
REGISTRY = "SCHEMA_REGISTRY_URL"

CHOOSING = (PROVIDERS, KAFKA, "AUDIENCE_LISTEN")
"""Settings that say what a command is about: of an `up` elsewhere that runs with others nothing is taken."""


class SeveralUpsError(CommandError):
    """Several `audience up` run on this machine, and none in this folder: which is meant?"""


@dataclass(frozen=True, slots=True)
class Up:
    """An `audience up` that runs: its folder, what it runs with, and the platforms that the sandbox plays for it."""

    data: Path
    values: Mapping[str, str] = field(repr=False)
    sandboxed: Collection[str]

    def is_own(self, name: str) -> bool:
        """Tell whether a variable says who an account of the sandbox is, which no setting of another may."""
        return any(name in (*CREDENTIALS[played], f"{played.upper()}_BASE_URL") for played in self.sandboxed)

    def beside(self, mine: Mapping[str, str]) -> Mapping[str, str]:
        """Return what a command with these settings of its own takes over: nothing of another cluster's.

        Where the sandbox plays the accounts, one that names accounts takes over only where and how records stand.
        """
        if KAFKA in mine and mine[KAFKA] != self.values.get(KAFKA):
            return {}
        if PROVIDERS not in mine or not self.sandboxed:
            return self.values
        return {name: self.values[name] for name in self.values if _is_about_records(name)} if KAFKA in mine else {}

    def is_meant_by(self, mine: Mapping[str, str]) -> bool:
        """Tell whether settings that choose something choose this one."""
        chosen = [name for name in CHOOSING if name in mine and not _is_any_port(name, mine[name])]
        return not chosen or (
            all(mine[name] == self.values.get(name) for name in chosen)
            and mine.get(PREFIX, "audience") == self.values.get(PREFIX)
        )


def _is_any_port(name: str, value: str) -> bool:
    """Tell whether a setting leaves it to an `up` where it listens, so that its own word is the one that counts."""
    return name.endswith("_LISTEN") and value.rpartition(":")[2] == "0"


def _is_about_records(name: str) -> bool:
    return name in (PREFIX, REGISTRY) or name.startswith("KAFKA_")


def read_environment(process: Mapping[str, str], *, anywhere: bool = False) -> Environment:
    """Return the settings: the process's environment first, then `.env`, then what `up` runs with.

    With `anywhere` and nothing running here it may be an `up` of another folder, whose data folder is then
    ours. Raises SeveralUpsError, and EnvFileError where a file is named that is missing, or has a line that can't be
    read.
    """
    mine = {name: value for name, value in process.items() if value}
    file = process.get(ENV_FILE, ".env")
    from_file = read_env_file(Path(file), is_chosen=ENV_FILE in process) if file else {}
    merged = from_file | mine
    origins = dict.fromkeys(from_file, file) | dict.fromkeys(mine, "environment")
    up = _running(Path(merged.get(DATA, ".data")).absolute())
    taken = up.beside(merged) if up else {}
    if anywhere and not taken and DATA not in merged:
        up = _elsewhere(process, merged)
        taken = {**up.beside(merged), DATA: str(up.data)} if up else {}
    unsaid = {name for name in taken if name not in merged or _is_any_port(name, merged[name])}
    added = {name: value for name, value in taken.items() if name in unsaid or (up and up.is_own(name))}
    return Environment(merged | added, origins | dict.fromkeys(added, "audience up"))


def _elsewhere(process: Mapping[str, str], mine: Mapping[str, str]) -> Up | None:
    """Return the one `up` of another folder that can be meant, None where there is none. Raises SeveralUpsError."""
    found = [up for data in data_folders(process) if (up := _running(data)) and up.is_meant_by(mine)]
    if len(found) == 1:
        return found[0]
    if found and not any(name in mine for name in CHOOSING):
        listed = ", ".join(str(up.data) for up in found)
        raise SeveralUpsError(f"several `audience up` run here: say which by {DATA}=FOLDER, one of {listed}")
    return None


def _running(data: Path) -> Up | None:
    """Return the `up` of this data folder, None if it is not running."""
    try:
        state = json.loads((data / STATE_FILE).read_text(encoding="utf-8"))
        os.kill(state["pid"], 0)
        values, played = dict(state["environment"]), list(state["sandbox"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):  # half a file, or another one of that name
        return None
    for provider in played:
        values |= CREDENTIALS[provider]
    return Up(data, values, played)


def write_state(data: Path, environment: Mapping[str, str], sandbox: list[str]) -> Path:
    """Record what runs, for other commands of this user and nobody else; return the file, to be removed at the end."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / STATE_FILE
    path.unlink(missing_ok=True)  # what is left over may be readable by others
    state = {"pid": os.getpid(), "environment": dict(environment), "sandbox": sandbox}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps(state, indent=2) + "\n")
    return path
