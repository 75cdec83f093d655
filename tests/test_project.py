"""The project's shape: imports point downwards, files agree with each other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streams.local.jars import KAFKA_VERSION, locked_jars

ROOT = Path(__file__).parent.parent
ROOMS = ("audience", "cli", "console", "consumer", "ledger", "producer", "providers", "sandbox", "schemas", "streams")


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool of the project's own environment."""
    tool = Path(sys.executable).parent / command[0]
    return subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


def test_rooms_import_downwards_only_and_kafka_s_client_only_in_streams() -> None:
    ran = run("lint-imports", "--no-cache")
    assert ran.returncode == 0, ran.stdout


def test_the_client_knows_nothing_of_the_server_and_its_floors_import_downwards_only() -> None:
    ran = run("lint-imports", "--no-cache", "--config", "client/pyproject.toml")
    assert ran.returncode == 0, ran.stdout


def test_the_client_needs_neither_kafka_nor_what_its_extra_installs() -> None:
    code = """
import sys, threading
for package in ("confluent_kafka", "fastavro", "pydantic", "aiohttp", "openpyxl", "pyarrow", "backports"):
    sys.modules[package] = None
sys.path.insert(0, "client")
import audience_client.users.user_reader, audience_client.files.reading, audience_client.columns.resolving
assert threading.active_count() == 1
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("room", [*ROOMS, "audience_client"])
def test_importing_a_room_starts_nothing(room: str) -> None:
    code = f"import sys; sys.path.insert(0, 'client'); import threading, {room}; assert threading.active_count() == 1"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_docker_compose_yml_keeps_to_the_compose_schema() -> None:
    ran = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_the_image_and_the_package_have_every_room(room: str) -> None:
    assert f"COPY {room} {room}\n" in (ROOT / "Dockerfile").read_text()
    assert f'"{room}*"' in (ROOT / "pyproject.toml").read_text()


def test_the_image_and_make_have_the_client_beside_the_server() -> None:
    assert "COPY client client\n" in (ROOT / "Dockerfile").read_text()
    assert "'./client[files]'" in (ROOT / "Dockerfile").read_text()
    assert "-e './client[files]'" in (ROOT / "Makefile").read_text()


def test_without_the_client_all_other_commands_work_and_upload_says_what_is_missing() -> None:
    code = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "audience_client" else find(name, *rest)
sys.modules["audience_client"] = None
from cli.main import main
main(sys.argv[1:])
"""

    def ran(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", code, *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    assert ran("errors").returncode == 0
    missing = ran("upload", "customers.csv", "--name", "VIP", "--wait")
    assert missing.returncode == 1
    assert "audience-client is not installed beside this package" in missing.stderr


def test_compose_and_the_jars_are_of_one_version_of_kafka() -> None:
    assert f"apache/kafka:{KAFKA_VERSION}" in (ROOT / "docker-compose.yml").read_text()
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in locked_jars()


def named_pythons() -> list[str]:
    """Return the versions of Python that the package says it runs on."""
    return re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())


def test_pyproject_names_the_pythons_of_the_image_and_of_the_readme() -> None:
    oldest = min(named_pythons(), key=lambda version: int(version.partition(".")[2]))
    image = re.search(r"FROM python:(3\.\d+)", (ROOT / "Dockerfile").read_text())
    assert image is not None
    assert image[1] in named_pythons()
    assert f"With Python {oldest}+" in (ROOT / "README.md").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_ci_finds_pythons_that_run_and_are_named() -> None:
    ran = subprocess.run([ROOT / ".ci" / "pythons"], capture_output=True, text=True, check=True, timeout=60)
    found = dict(line.split(" ", 1) for line in ran.stdout.splitlines())
    assert set(found) <= set(named_pythons())
    for version, python in found.items():
        told = subprocess.run([python, "--version"], capture_output=True, text=True, check=True, timeout=60)
        assert told.stdout.startswith(f"Python {version}.")


def test_the_compose_token_of_the_docs_is_the_one_in_docker_compose_yml() -> None:
    token = re.search(r"AUDIENCE_API_TOKENS: (\S+)", (ROOT / "docker-compose.yml").read_text())
    assert token is not None
    assert f"Authorization: Bearer {token[1]}" in (ROOT / "docs" / "running.md").read_text()
