"""The command line as a user meets it: processes of their own, real output, real signals."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from world import make_form, make_users

from cli.demo.environment import demo_environment
from cli.demo.made_up_people import make_people
from cli.settings.config import ConfigError, account, load, sandboxed_providers
from cli.settings.data_folder import usable_folder
from cli.settings.environment import Environment, read_environment, write_state
from providers.installed import installed
from sandbox import CREDENTIALS
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.processes.ports import free_port

REAL_LOOKING = {
    "FACEBOOK_ACCESS_TOKEN": "made-up-real-looking",
    "FACEBOOK_AD_ACCOUNT_ID": "42",
    "TIKTOK_ACCESS_TOKEN": "made-up-real-looking",
    "KLAVIYO_API_KEY": "made-up-real-looking",
}


def clean_environ(folder: Path, **settings: str) -> dict[str, str]:
    """Return an environment that nothing of the tests' own reaches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AUDIENCE_", "KAFKA_"))}
    return {**kept, "AUDIENCE_DATA": str(folder / "data"), **settings}


async def audience(folder: Path, *arguments: str, **settings: str) -> tuple[int, str, str]:
    """Run a command to its end in a folder; return its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.entry", *arguments, cwd=folder, env=clean_environ(folder, **settings),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode(), errors.decode()


@pytest.mark.parametrize("command", ["serve", "consume", "sandbox", "up", "demo", "config"])
async def test_every_command_explains_itself(tmp_path: Path, command: str) -> None:
    code, output, _ = await audience(tmp_path, command, "--help")
    assert code == 0
    assert len(output.splitlines()) > 5


@pytest.mark.parametrize(
    "command", [("config",), ("check",), ("serve",), ("consume", "--provider", "facebook"), ("up",)]
)
async def test_kafka_s_properties_that_do_not_go_together_are_one_line_at_the_start(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    settings = {"AUDIENCE_PROVIDERS": "facebook", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", **REAL_LOOKING}
    wrong = {"KAFKA_GROUP_PROTOCOL": "Consumer", "KAFKA_SESSION_TIMEOUT_MS": "6543"}
    code, _, errors = await audience(tmp_path, *command, **settings, **wrong)
    assert code == 1
    assert errors.splitlines()[-1] == (
        f"audience {command[0]}: KAFKA_SESSION_TIMEOUT_MS: not a client's to say with KAFKA_GROUP_PROTOCOL=consumer: "
        "the brokers do, by group.consumer.session.timeout.ms; leave it out"
    )
    assert "Traceback" not in errors
    assert "6543" not in errors


@pytest.mark.parametrize("command", [("serve",), ("consume", "--provider", "facebook")])
async def test_without_a_kafka_a_command_says_how_to_get_one(tmp_path: Path, command: tuple[str, ...]) -> None:
    settings = {"AUDIENCE_PROVIDERS": "facebook", **REAL_LOOKING}
    code, _, errors = await audience(tmp_path, *command, **settings)
    assert code == 1
    assert errors.strip().endswith("or start a Kafka of your own here with `audience up`")
    assert "Traceback" not in errors


async def test_all_wrong_settings_are_told_at_once_without_their_values(tmp_path: Path) -> None:
    settings = {
        "AUDIENCE_SYNC_TIMEOUT": "soon-value",
        "AUDIENCE_LISTEN": "everywhere-value",
        "AUDIENCE_PROVIDERS": "myspace",
        "AUDIENCE_RETRY_ATTEMPTS": "-1",
    }
    code, _, errors = await audience(tmp_path, "serve", **settings)
    assert code == 1
    for name in settings:
        assert f"{name}: " in errors
    assert "value" not in errors.replace("valid", "")


async def test_missing_credentials_are_told_by_variable(tmp_path: Path) -> None:
    code, _, errors = await audience(tmp_path, "consume", "--provider", "facebook/eu", KAFKA_BOOTSTRAP_SERVERS="x:1")
    assert code == 1
    assert "FACEBOOK_EU_ACCESS_TOKEN" in errors
    assert "FACEBOOK_EU_AD_ACCOUNT_ID" in errors


@pytest.mark.parametrize("command", ["up", "demo"])
async def test_a_data_folder_that_can_t_be_is_told_in_a_sentence(tmp_path: Path, command: str) -> None:
    (tmp_path / "a-file").touch()
    code, _, errors = await audience(tmp_path, command, AUDIENCE_DATA="a-file")
    assert code == 1
    assert errors.startswith(f"audience {command}: AUDIENCE_DATA: ")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("data", ["a-file", "a-file/below", "/proc/nothing", "x" * 300, "a\0b"])
def test_a_data_folder_that_can_t_be_is_told_by_its_setting(tmp_path: Path, data: str) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(ConfigError, match=r"^AUDIENCE_DATA: [^\n]+$"):
        usable_folder(tmp_path / data)


async def test_a_line_break_inside_a_token_is_told_in_a_sentence(tmp_path: Path) -> None:
    settings = {"AUDIENCE_PROVIDERS": "facebook,tiktok,klaviyo", **REAL_LOOKING, "KLAVIYO_API_KEY": "made-up\nkey"}
    settings["TIKTOK_ADVERTISER_ID"] = "42"
    code, _, errors = await audience(tmp_path, "up", **settings)
    assert code == 1
    assert errors.startswith("audience up: KLAVIYO_API_KEY: a line break")
    assert "made-up" not in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "name", ["AUDIENCE_API_TOKENS", "SCHEMA_REGISTRY_URL", "AUDIENCE_DATA", "AUDIENCE_TOPIC_PREFIX"]
)
@pytest.mark.parametrize("value", ["made\nup", "made\rup", "made\x7fup", "made\u2028up"])
def test_no_setting_has_a_line_break_inside(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: a line break") as raised:
        load(Environment({name: value}, {}))
    assert "made" not in str(raised.value)


def test_a_line_end_behind_a_token_as_files_have_it_is_no_fault() -> None:
    settings = {**REAL_LOOKING, "FACEBOOK_ACCESS_TOKEN": "made-up-token\n"}
    found = account(Target("facebook"), Environment(settings, {}), load(Environment({}, {})).common)
    assert found.settings.model_dump()["access_token"].get_secret_value() == "made-up-token"


@pytest.mark.parametrize("address", ["192.0.2.1:8080", f"{'x' * 80}.example.com:8080"])
async def test_an_address_that_this_machine_does_not_have_is_told_by_its_setting(tmp_path: Path, address: str) -> None:
    settings = {"AUDIENCE_API_TOKENS": "made-up-token", "AUDIENCE_LISTEN": address}
    code, _, errors = await audience(tmp_path, "up", **settings)
    assert code == 1
    assert "AUDIENCE_LISTEN: " in errors
    assert "taken" not in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", ":1"])
def test_where_health_is_told_is_an_address(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^AUDIENCE_HEALTH_LISTEN: expected host:port"):
        load(Environment({"AUDIENCE_HEALTH_LISTEN": address}, {}))


@pytest.mark.parametrize("state", ["[]", "{}", '{"pid": "x"}', '{"pid": 1e30}', '{"pid": 1', "\0"])
def test_half_an_up_json_is_none(tmp_path: Path, state: str) -> None:
    (tmp_path / "up.json").write_text(state)
    assert "KAFKA_BOOTSTRAP_SERVERS" not in read_environment({"AUDIENCE_DATA": str(tmp_path)}).values


@pytest.mark.parametrize("command", [("dead-letters", "list"), ("publish", "users.json", "--name", "VIP")])
async def test_a_command_that_is_soon_over_says_one_sentence_while_kafka_is_away(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "users.json").write_text('[{"email": "ada@example.com"}]')
    code, _, errors = await audience(tmp_path, *command, KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert code == 1
    assert errors.startswith(f"audience {command[0]}: ")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("provider", ["myspace", "facebook/EU", "facebook/retry"])
async def test_a_provider_that_there_is_none_of_is_refused(tmp_path: Path, provider: str) -> None:
    code, _, errors = await audience(tmp_path, "consume", "--provider", provider)
    assert code == 2
    assert "--provider" in errors


async def test_config_shows_values_and_where_they_come_from_and_hides_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AUDIENCE_SYNC_TIMEOUT=7\nFACEBOOK_ACCESS_TOKEN=made-up-secret\n")
    settings = {"AUDIENCE_PROVIDERS": "facebook", "AUDIENCE_API_TOKENS": "made-up-token", "COLUMNS": "200"}
    code, output, _ = await audience(tmp_path, "config", **settings)
    assert code == 0
    assert re.search(r"AUDIENCE_SYNC_TIMEOUT\s+│\s+7\s+│\s+\.env", output)
    assert re.search(r"FACEBOOK_ACCESS_TOKEN\s+│\s+\*\*\*", output)
    assert "made-up" not in output


def test_the_environment_wins_over_the_file_and_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("AUDIENCE_TOPIC_PREFIX=from-file\nAUDIENCE_SYNC_TIMEOUT=7\n")
    process = {"AUDIENCE_ENV_FILE": str(file), "AUDIENCE_TOPIC_PREFIX": "mine", "AUDIENCE_SYNC_TIMEOUT": ""}
    found = read_environment({**process, "AUDIENCE_DATA": str(tmp_path)})
    assert load(found).common.prefix == "mine"
    assert load(found).server.sync_timeout == 7


def test_other_commands_use_what_up_runs_with_and_never_send_real_credentials_to_the_sandbox(tmp_path: Path) -> None:
    running = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "FACEBOOK_BASE_URL": "http://127.0.0.1:2/facebook"}
    write_state(tmp_path, running, ["facebook"])
    process = {"AUDIENCE_DATA": str(tmp_path), "AUDIENCE_ENV_FILE": "", **REAL_LOOKING}
    found = read_environment(process).values
    assert found["KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:1"
    assert found["FACEBOOK_ACCESS_TOKEN"] == CREDENTIALS["facebook"]["FACEBOOK_ACCESS_TOKEN"]
    assert "made-up-real-looking" not in (tmp_path / "up.json").read_text()


def test_the_demo_knows_nothing_of_providers_clusters_and_env_files(tmp_path: Path) -> None:
    process = {
        **REAL_LOOKING,
        "AUDIENCE_PROVIDERS": "facebook",
        "FACEBOOK_BASE_URL": "https://graph.facebook.com",
        "KAFKA_BOOTSTRAP_SERVERS": "production:9092",
        "AUDIENCE_DATA": str(tmp_path),
        "PATH": "/bin",
    }
    found = demo_environment(process)
    assert set(found.values) == {"AUDIENCE_DATA", "AUDIENCE_ENV_FILE", "PATH"}
    assert sandboxed_providers(found) == list(CREDENTIALS)


def test_what_the_demo_expects_is_what_the_adapters_make_of_its_people() -> None:
    people = list(make_people(200))
    assert {len(person.members) for person in people} == {0, 2, 3}
    assert set(CREDENTIALS) == {"facebook", "tiktok", "klaviyo"} < set(installed())


def test_a_set_base_url_replaces_just_that_platform_and_configured_accounts_replace_all() -> None:
    def sandboxed(values: Mapping[str, str]) -> list[str]:
        return sandboxed_providers(Environment(values, dict.fromkeys(values, "environment")))

    assert sandboxed({}) == ["facebook", "tiktok", "klaviyo"]
    assert sandboxed({"TIKTOK_BASE_URL": "http://127.0.0.1:1"}) == ["facebook", "klaviyo"]
    assert sandboxed({"AUDIENCE_PROVIDERS": "facebook"}) == []


async def test_a_platform_itself_is_never_called_on_made_up_credentials(tmp_path: Path) -> None:
    code, _, errors = await audience(tmp_path, "up", KLAVIYO_BASE_URL="https://a.klaviyo.com")
    assert code == 1
    assert errors.strip().endswith("KLAVIYO_API_KEY: set it, it is required")


async def test_a_listener_that_is_taken_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, errors = await audience(tmp_path, "sandbox", AUDIENCE_SANDBOX_LISTEN=address)
    assert code == 1
    assert "end what listens there" in errors


def test_wrong_kafka_properties_are_told_by_variable() -> None:
    with pytest.raises(ConfigError, match="KAFKA_SECURITY_PROTOCOL"):
        load(Environment({"KAFKA_SECURITY_PROTOCOL": "nonsense"}, {}))


@asynccontextmanager
async def up(
    folder: Path, kafka: KafkaSettings, **settings: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, list[str]]]:
    """Run `audience up`; yields the process and the lines that it has printed up to `ready`."""
    environ = clean_environ(folder, KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers, **settings)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.entry", "up", cwd=folder, env=environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=2**20,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    draining = asyncio.create_task(process.stderr.read())
    try:
        lines: list[str] = []
        async with asyncio.timeout(60):
            while not lines or not lines[-1].startswith("ready "):
                line = (await process.stdout.readline()).decode().rstrip("\n")
                assert line, (await draining).decode()
                lines.append(line)
        yield process, lines
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), 60)
        await draining


SERVED = ("facebook", "tiktok", "klaviyo")


def parts_of(pid: int) -> dict[str, int]:
    """Return the process ids of the parts that `up` runs, by command."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        found[" ".join(part.decode() for part in command[3:] if part)] = int(child)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_up_serves_its_curl_line_and_starts_again_what_ends_and_ends_all_at_ctrl_c(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in REAL_LOOKING.items()))
    with socket.create_server(("127.0.0.1", 8080)) if _is_free(8080) else _nothing():
        async with up(tmp_path, kafka, AUDIENCE_TOPIC_PREFIX=topic_prefix) as (process, lines):
            assert lines[0] == f"kafka {kafka.bootstrap_servers}"
            assert re.fullmatch(r"sandbox http://127\.0\.0\.1:\d+", lines[1])
            assert re.fullmatch(r"ready http://127\.0\.0\.1:\d+", lines[-1])
            assert not lines[-1].endswith(":8080")
            ran = await asyncio.create_subprocess_shell(lines[2], stdout=subprocess.PIPE)
            answered = json.loads((await ran.communicate())[0])
            assert {result["accepted"] for result in answered["results"]} == {2}
            parts = parts_of(process.pid)
            assert sorted(parts) == sorted(
                ["sandbox", "serve", "consume --ledger", *(f"consume --provider {name}" for name in SERVED)]
            )
            os.kill(parts["consume --provider tiktok"], signal.SIGKILL)
            os.kill(parts["sandbox"], signal.SIGKILL)
            url = lines[-1].removeprefix("ready ")
            async with aiohttp.ClientSession() as session, asyncio.timeout(60):
                status = 0
                while status != 200:
                    async with session.post(f"{url}/audience?sync=1", data=make_form(make_users(3))) as response:
                        status = response.status
        assert process.returncode == 0
    assert not any(_is_alive(pid) for pid in parts.values())


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_no_part_outlives_an_up_that_was_killed(kafka: KafkaSettings, topic_prefix: str, tmp_path: Path) -> None:
    settings = {"AUDIENCE_TOPIC_PREFIX": topic_prefix, "AUDIENCE_LISTEN": f"127.0.0.1:{free_port()}"}
    async with up(tmp_path, kafka, **settings) as (process, _):
        parts = parts_of(process.pid)
        process.kill()
        async with asyncio.timeout(30):
            while any(_is_alive(pid) for pid in parts.values()):
                await asyncio.sleep(0.05)


async def test_a_port_that_is_set_and_taken_is_an_error(kafka: KafkaSettings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "AUDIENCE_LISTEN": address}
        code, _, errors = await audience(tmp_path, "up", **settings)
    assert code == 1
    assert "AUDIENCE_LISTEN: port" in errors
    assert "is taken" in errors


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _nothing() -> "socket.socket":
    return socket.socket()
