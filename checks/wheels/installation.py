"""A virtual environment with the wheel and nothing of a checkout, and what its users do there."""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from checks.wheels.archives import Archives, top_levels
from checks.wheels.commands import CheckFailedError, run, running

INSTALL_LIMIT = 300.0
DEMO_LIMIT = 300.0
LIMIT = 120.0
HERE = Path(__file__).parent

CHECK_LOCATIONS = """
import importlib, sys
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.prefix), f"{name} comes from {module.__file__}"
"""

PRINTED: Mapping[tuple[str, ...], str] = {
    ("AudienceBatch",): "AudienceBatch.avsc",
    ("BatchCompletion",): "BatchCompletion.avsc",
    ("BatchCompletion", "--release", "1"): "released/BatchCompletion/1.avsc",
}
"""What `audience schema` prints by these words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A virtual environment `venv`, an empty folder `empty` to work in; `client` is the client's wheel."""

    archives: Archives
    client: Path
    venv: Path
    empty: Path
    environment: Mapping[str, str]

    def _run(self, *command: str | Path, within: Path | None = None, limit: float = LIMIT) -> str:
        """Run a program of the environment, by default in the empty folder."""
        program = [self.venv / "bin" / command[0], *command[1:]]
        return run(program, within=within or self.empty, environment=self.environment, limit=limit)

    def _pip_install(self, what: Sequence[str | Path], within: Path | None = None) -> None:
        options = ("--quiet", "--disable-pip-version-check", "-c", self.archives.sources / "constraints.txt")
        self._run("pip", "install", *options, *what, within=within, limit=INSTALL_LIMIT)

    def install(self) -> str:
        """Install the wheel into a new environment, then the client's; every package must come from there."""
        command = (sys.executable, "-m", "venv", self.venv)
        run(command, within=self.empty, environment=self.environment, limit=LIMIT)
        self._pip_install([self.archives.wheel])
        self._run("audience", "--version")  # works without the client, too
        self._pip_install([f"{self.client}[files]"])
        packages = [*top_levels(self.archives.sources), *top_levels(self.archives.sources / "client")]
        self._run("python", "-c", CHECK_LOCATIONS, *packages)
        return f"{', '.join(packages)} come from the wheel"

    def schemas(self) -> str:
        """Print what programs in other languages need: each schema must be as it stands in the sources."""
        sources = self.archives.sources / "schemas"
        for words, file in PRINTED.items():
            if self._run("audience", "schema", *words) != (sources / file).read_text(encoding="utf-8"):
                raise CheckFailedError(f"`audience schema {' '.join(words)}` does not print schemas/{file}")
        return f"{', '.join(PRINTED.values())} are printed as they are"

    def demo(self) -> str:
        """Run the demo, which starts a Kafka."""
        return self._run("audience", "demo", limit=DEMO_LIMIT).splitlines()[-1]

    def upload(self) -> str:
        """Upload a file by the command to what `audience up` runs; every platform must take it."""
        (self.empty / "customers.csv").write_text("E-Mail\nada@example.com\nalan@example.com\n", encoding="utf-8")
        up = (self.venv / "bin" / "audience", "up")
        with running(up, within=self.empty, environment=self._any_ports(), ready="\nready ", limit=LIMIT):
            told = self._run("audience", "upload", "customers.csv", "--name", "VIP", "--wait", "--json")
        accepted = [one["accepted"] for one in json.loads(told.splitlines()[-1])["platforms"]]
        if accepted != [2, 2, 2]:
            raise CheckFailedError(f"of two users in a file the platforms accepted {accepted}")
        return "a file was uploaded and delivered"

    def publish(self) -> str:
        """Publish a batch by a program to what `audience up` runs; every platform must have taken it."""
        shutil.copy(HERE / "publish.py", self.empty)
        up = (self.venv / "bin" / "audience", "up")
        with running(up, within=self.empty, environment=self._any_ports(), ready="\nready ", limit=LIMIT) as output:
            kafka = re.search(r"^kafka (\S+)$", output, re.MULTILINE)
            if kafka is None:
                raise CheckFailedError("`audience up` does not say where its Kafka is")
            batch_id, *origins = self._run("python", "publish.py", kafka[1]).split()
            told = self._run("audience", "status", "--batch", batch_id, "--wait", "60", "--json")
        if (state := json.loads(told).get("state")) != "delivered":
            raise CheckFailedError(f"the batch that was published is {state}")
        return f"a batch at {', '.join(origins)} was acknowledged and delivered"

    def _any_ports(self) -> dict[str, str]:
        return {**self.environment, "AUDIENCE_LISTEN": "127.0.0.1:0", "AUDIENCE_SANDBOX_LISTEN": "127.0.0.1:0"}

    def provider(self) -> str:
        """Install the example of a provider beside it, as its page says; find it, and run its tests."""
        folder = self.empty.parent / "provider"
        shutil.copytree(self.archives.sources / "examples" / "provider", folder)
        self._pip_install(["-e", ".[dev]"], within=folder)
        (self.empty / "users.json").write_text('[{"email": "Ada@Example.com"}, {"email": "nobody"}]', encoding="utf-8")
        shown = self._run("audience", "preview", "users.json", "--name", "VIP", "--provider", "acme")
        summary = json.loads(shown.splitlines()[-1])["summary"]["acme"]
        if (summary["users"], summary["usable"]) != (2, 1):
            raise CheckFailedError(f"of two users, one of them wrong, acme is said to take {summary['usable']}")
        return self._run("pytest", "-q", within=folder).splitlines()[-1]

    def types(self) -> str:
        """Check the programs of others by mypy, as strictly as it can."""
        folder = self.empty.parent / "typed"
        folder.mkdir()
        provider = self.archives.sources / "examples" / "provider"
        for path in (HERE / "publish.py", provider / "audience_acme.py", provider / "tests" / "test_acme.py"):
            shutil.copy(path, folder)
        mypy = (Path(sys.executable).parent / "mypy", "--config-file", os.devnull, "--cache-dir", os.devnull)
        command = (*mypy, "--strict", "--python-executable", self.venv / "bin" / "python", ".")
        return run(command, within=folder, environment=self.environment, limit=LIMIT).splitlines()[-1]
