"""Which commands there are, and what each loads: who serves an account has nothing to do with a Kafka to start."""

import asyncio
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from processes import killed_in_the_end
from test_cli import REAL_LOOKING, clean_environ

from cli.commands import MODULES, load_command
from streams.client.settings import KafkaSettings

ROOT = Path(__file__).parent.parent
LOCAL_KAFKA = "streams.local"
OF_OTHERS = {"cli.local_stack.running", "cli.demo.outcome", "cli.replay.selection", "cli.dry_run.requests"}
OWN = {"serve": "producer.server", "consume": "ledger.receipts"}
"""What commands alone import. The modules that `import_module` itself is given are not among the import times."""
SERVING = {
    ("serve",): "Listening.",
    ("consume", "--provider", "facebook"): "Consuming.",
    ("consume", "--ledger"): "Keeping the ledger.",
}
"""Commands that serve on a given Kafka, with what they log when they have begun."""


def loaded(importtimes: str) -> set[str]:
    """Return the modules that Python says it imported."""
    return set(re.findall(r"^import time:.*\| +(\S+)$", importtimes, re.MULTILINE))


def run(folder: Path, *words: str, **settings: str) -> tuple[int, str, set[str]]:
    """Run a command to its end; return its exit code, what it printed, and the modules that it loaded."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "cli.entry", *words],
        cwd=folder, env=clean_environ(folder, **settings), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout.decode(), loaded(ran.stderr.decode())


@pytest.mark.parametrize("name", MODULES)
def test_a_command_has_the_name_by_which_it_is_found(name: str) -> None:
    assert load_command(name).name == name


def test_every_folder_with_a_command_is_one_that_is_found() -> None:
    written = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("cli/*/command.py")}
    assert written - set(MODULES.values()) == set()


def test_every_module_of_ours_but_those_that_run_everything_is_held_off_the_local_kafka() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (held,) = (one["source_modules"] for one in contracts if one.get("forbidden_modules") == [LOCAL_KAFKA])
    ours = {f"cli.{found.name}" for found in pkgutil.iter_modules([str(ROOT / "cli")])}
    assert ours - set(held) == {"cli.demo", "cli.local_stack", "cli.up"}


@pytest.mark.parametrize("words", SERVING)
def test_who_serves_loads_no_local_kafka_and_no_other_command(tmp_path: Path, words: tuple[str, ...]) -> None:
    code, _, modules = run(tmp_path, *words, AUDIENCE_PROVIDERS="facebook", **REAL_LOOKING)
    assert code == 1  # as no Kafka is named: all is loaded before that is found out
    assert OWN[words[0]] in modules
    assert {name for name in modules if name.startswith(LOCAL_KAFKA)} == set()
    assert modules & OF_OTHERS == set()


def test_who_runs_everything_loads_the_local_kafka(tmp_path: Path) -> None:
    assert "streams.local.broker" in run(tmp_path, "up", "--help")[2]


def test_the_list_of_commands_has_a_line_for_each(tmp_path: Path) -> None:
    code, output, _ = run(tmp_path, "--help")
    assert code == 0
    assert re.findall(r"^    ([a-z-]+)(?: |$)", output, re.MULTILINE) == list(MODULES)


@pytest.mark.parametrize(("words", "begun"), list(SERVING.items()))
async def test_who_serves_on_a_given_kafka_never_loads_one_to_start(
    tmp_path: Path, kafka: KafkaSettings, topic_prefix: str, words: tuple[str, ...], begun: str
) -> None:
    settings = {
        "AUDIENCE_PROVIDERS": "facebook",
        "AUDIENCE_TOPIC_PREFIX": topic_prefix,
        "AUDIENCE_LISTEN": "127.0.0.1:0",
        "AUDIENCE_HEALTH_LISTEN": "127.0.0.1:0",
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "importtime", "-m", "cli.entry", *words, cwd=tmp_path,
        env=clean_environ(tmp_path, **settings, **REAL_LOOKING), stderr=subprocess.PIPE,
    )  # fmt: skip
    async with killed_in_the_end(process), asyncio.timeout(60):
        assert process.stderr is not None
        said = ""
        while begun not in said:
            said += (await process.stderr.readline()).decode()
        process.terminate()
        said += (await process.stderr.read()).decode()
        assert await process.wait() == 0
    modules = loaded(said)
    assert "confluent_kafka" in modules
    assert {name for name in modules if name.startswith(LOCAL_KAFKA)} == set()
