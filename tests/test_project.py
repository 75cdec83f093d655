"""The project's shape: imports point downwards, files agree with each other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streams.jars import KAFKA_VERSION, locked_jars

ROOT = Path(__file__).parent.parent
ROOMS = ("cli", "consumer", "ledger", "producer", "providers", "sandbox", "schemas", "streams")


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool of the project's own environment."""
    tool = Path(sys.executable).parent / command[0]
    return subprocess.run([tool, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)


def test_rooms_import_downwards_only_and_kafka_s_client_only_in_streams() -> None:
    ran = run("lint-imports", "--no-cache")
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_starts_nothing(room: str) -> None:
    code = f"import threading, {room}; assert threading.active_count() == 1"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_docker_compose_yml_keeps_to_the_compose_schema() -> None:
    ran = run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_the_image_and_the_package_have_every_room(room: str) -> None:
    assert f"COPY {room} {room}\n" in (ROOT / "Dockerfile").read_text()
    assert f'"{room}*"' in (ROOT / "pyproject.toml").read_text()


def test_compose_and_the_jars_are_of_one_version_of_kafka() -> None:
    assert f"apache/kafka:{KAFKA_VERSION}" in (ROOT / "docker-compose.yml").read_text()
    assert f"kafka_2.13-{KAFKA_VERSION}.jar" in locked_jars()


def test_the_readme_s_compose_token_is_the_one_in_docker_compose_yml() -> None:
    token = re.search(r"AUDIENCE_API_TOKENS: (\S+)", (ROOT / "docker-compose.yml").read_text())
    assert token is not None
    assert f"Authorization: Bearer {token[1]}" in (ROOT / "README.md").read_text()
