"""A virtual environment with the client and nothing of the server."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from checks.wheels.archives import Archives
from checks.wheels.commands import CheckFailedError, run

LIMIT = 120.0
INSTALL_LIMIT = 300.0
FOREIGN = frozenset({"aiohttp", "confluent_kafka", "fastavro", "pydantic", "audience", "cli", "schemas"})

LISTED = """
import importlib.util, sys
print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAlone:
    """The client's archives, the server's sources for the versions that are tested, and where to install."""

    archives: Archives
    server: Path
    venv: Path
    empty: Path
    environment: Mapping[str, str]

    def _run(self, *command: str | Path, limit: float = LIMIT) -> str:
        program = [self.venv / "bin" / command[0], *command[1:]]
        return run(program, within=self.empty, environment=self.environment, limit=limit)

    def install(self) -> str:
        """Install the client without its extra; its command must run, and nothing of the server be there."""
        command = (sys.executable, "-m", "venv", self.venv)
        run(command, within=self.empty, environment=self.environment, limit=LIMIT)
        options = ("--quiet", "--disable-pip-version-check", "-c", self.server / "constraints.txt")
        self._run("pip", "install", *options, self.archives.wheel, limit=INSTALL_LIMIT)
        if found := self._run("python", "-c", LISTED, *sorted(FOREIGN)).split():
            raise CheckFailedError(f"the client brings {', '.join(found)}")
        if "--dry-run" not in self._run("audience-upload", "--help"):
            raise CheckFailedError("audience-upload does not explain itself")
        return self._run("python", "-m", "audience_client", "--version").strip()
