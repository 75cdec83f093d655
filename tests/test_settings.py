"""What is ignored of the settings is told, by name; what would send users elsewhere is refused."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import model_validator
from structlog.testing import capture_logs
from test_cli import REAL_LOOKING, audience

from cli.demo.environment import demo_environment
from cli.settings.config import CommonSettings, ConfigError, account
from cli.settings.env_file import EnvFileError, read_env_file
from cli.settings.environment import Environment
from cli.settings.startup_check import checked_environment
from cli.settings.unknown_settings import MisnamedSettingError, check_names, unknown_settings, unused_credentials
from providers.kit.settings import AccountSettings
from schemas.target import Target
from streams.client.librdkafka_properties import KNOWN_PROPERTIES
from streams.client.settings import is_kafka_variable


def environment(values: Mapping[str, str]) -> Environment:
    return Environment(values, dict.fromkeys(values, "environment"))


def unknown(**values: str) -> dict[str, str | None]:
    """Return the variables that are told as ignored, each with the name that is nearest."""
    return {found.variable: found.nearest for found in unknown_settings(environment(values))}


def refusal(**values: str) -> str | None:
    """Return what a command says that does not start for a name."""
    found = environment(values)
    try:
        check_names(found, list(unknown_settings(found)))
    except MisnamedSettingError as error:
        return str(error)
    return None


def told(command: str, process: Mapping[str, str], **options: Any) -> Sequence[Mapping[str, Any]]:
    """Return what a command logs before anything else."""
    with capture_logs() as lines:
        checked_environment(argparse.Namespace(command=command, **options), {"AUDIENCE_ENV_FILE": "", **process})
    return lines


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("AUDIENCE_SYNC_TIMOUT", "AUDIENCE_SYNC_TIMEOUT"),
        ("AUDIENCE_SYNC_TIMEOUTS", "AUDIENCE_SYNC_TIMEOUT"),
        ("AUDIENCE_LISTNE", "AUDIENCE_LISTEN"),
        ("AUDIENCE_TOPICPREFIX", "AUDIENCE_TOPIC_PREFIX"),
        ("audience_listen", "AUDIENCE_LISTEN"),
        ("AUDIENC_LISTEN", "AUDIENCE_LISTEN"),
        ("AUDIENCE_PORT", None),
        ("AUDIENCE_COLOUR", None),
        ("SCHEMA_REGISTRY_URI", "SCHEMA_REGISTRY_URL"),
        ("KAFKA_SASL_USERNAEM", "KAFKA_SASL_USERNAME"),
        ("KAFKA_SECURITY_PROTOCOLL", "KAFKA_SECURITY_PROTOCOL"),
        ("FACEBOOK_ACCES_TOKEN", "FACEBOOK_ACCESS_TOKEN"),
        ("FACEBOOK_AD_ACCOUNTID", "FACEBOOK_AD_ACCOUNT_ID"),
        ("FACEBOOK_EU_ACCES_TOKEN", "FACEBOOK_EU_ACCESS_TOKEN"),
        ("WEBHOOK_SECRETS", "WEBHOOK_SECRET"),
        ("tiktok_access_token", "TIKTOK_ACCESS_TOKEN"),
    ],
)
def test_a_variable_that_is_no_setting_is_told_with_the_nearest_one(name: str, nearest: str | None) -> None:
    assert unknown(AUDIENCE_PROVIDERS="facebook/eu", **{name: "8080"}) == {name: nearest}


@pytest.mark.parametrize(
    "values",
    [
        {"AUDIENCE_PORT": "tcp://10.0.0.1:80", "AUDIENCE_SERVICE_HOST": "10.0.0.1", "AUDIENCE_SERVICE_PORT": "80"},
        {"AUDIENCE_SERVICE_PORT_HTTP": "80", "AUDIENCE_PORT_80_TCP": "tcp://10.0.0.1:80"},
        {"AUDIENCE_PORT_80_TCP_ADDR": "10.0.0.1", "AUDIENCE_PORT_80_TCP_PROTO": "tcp"},
        {"AUDIENCE_SANDBOX_PORT": "tcp://10.0.0.1:80", "AUDIENCE_SANDBOX_SERVICE_HOST": "10.0.0.1"},
        {"KAFKA_PORT": "tcp://10.0.0.1:9092", "KAFKA_HEAP_OPTS": "-Xmx1g", "KAFKA_LOG_DIRS": "/var/lib/kafka"},
        {"FACEBOOK_PAGE_ID": "1", "FACEBOOK_CLIENT_ID": "2", "TIKTOK_PIXEL": "3", "PATH": "/bin", "HOME": "/root"},
        {
            "KAFKA_SASL_USERNAME": "ann",
            "KAFKA_BATCH_SIZE": "9",
            "FACEBOOK_EU_WEST_TIMEOUT": "3",
            "AUDIENCE_LISTEN": "x",
        },
    ],
)
def test_settings_and_what_is_of_other_programs_or_container_platforms_are_not_told(values: dict[str, str]) -> None:
    assert unknown(**values) == {}


def test_the_names_that_kafka_s_variables_are_compared_with_are_properties_of_the_client() -> None:
    names = {f"KAFKA_{name.upper().replace('.', '_')}" for name in KNOWN_PROPERTIES}
    assert {name for name in names if not is_kafka_variable(name)} == set()


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({"AUDIENCE_PROVIDER": "facebook", **REAL_LOOKING}, "AUDIENCE_PROVIDERS"),
        ({"AUDIENCE_PROVDERS": "facebook"}, "AUDIENCE_PROVIDERS"),
        ({"audience_providers": "facebook"}, "AUDIENCE_PROVIDERS"),
        ({"AUDIENCE_ACCOUNTS": "facebook/eu, tiktok"}, "AUDIENCE_PROVIDERS"),
        ({"AUDIENCE_API_TOKEN": "made-up-secret"}, "AUDIENCE_API_TOKENS"),
        ({"KAFKA_BOOTSTRAP_SERVER": "production:9092"}, "KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_a_wrong_name_of_what_decides_where_users_go_is_refused(values: dict[str, str], meant: str) -> None:
    refused = refusal(**values)
    assert refused
    assert f"rename it if you mean {meant}" in refused
    assert not any(value in refused for value in values.values())
    assert refusal(**values, **{meant: "facebook"}) is None


def test_a_wrong_name_of_any_other_setting_only_is_told() -> None:
    assert refusal(AUDIENCE_SYNC_TIMOUT="7", KAFKA_SASL_USERNAEM="ann", AUDIENCE_COLOUR="red") is None


async def test_a_singular_audience_provider_starts_no_sandbox(tmp_path: Path) -> None:
    code, output, errors = await audience(tmp_path, "up", AUDIENCE_PROVIDER="facebook", **REAL_LOOKING)
    assert (code, output) == (1, "")
    assert errors == (
        "audience up: AUDIENCE_PROVIDER (environment): no such setting; "
        "rename it if you mean AUDIENCE_PROVIDERS, else unset it\n"
    )


def test_credentials_that_nobody_uses_are_told_by_name_and_how_to_use_them() -> None:
    (line,) = told("up", REAL_LOOKING)
    assert line["remedy"] == "AUDIENCE_PROVIDERS=facebook,klaviyo,tiktok"
    assert set(line["names"]) == set(REAL_LOOKING)
    assert "made-up" not in repr(line)
    (line,) = told("serve", {**REAL_LOOKING, "AUDIENCE_PROVIDERS": "facebook,klaviyo"})
    assert line["lacks"] == "tiktok"
    assert told("check", {**REAL_LOOKING, "AUDIENCE_PROVIDERS": "facebook,klaviyo"}, provider=[Target("tiktok")]) == []
    assert told("status", REAL_LOOKING) == []


def test_an_account_is_told_once_it_is_whole_and_one_that_is_called_elsewhere_is_used() -> None:
    def unused(**values: str) -> list[str]:
        return [str(target) for target in unused_credentials(environment(values), ())]

    assert unused(FACEBOOK_PAGE_ACCESS_TOKEN="made-up") == []
    assert unused(FACEBOOK_EU_ACCESS_TOKEN="made-up", FACEBOOK_EU_AD_ACCOUNT_ID="1") == ["facebook/eu"]
    assert unused(KLAVIYO_API_KEY="made-up", KLAVIYO_BASE_URL="http://127.0.0.1:1") == []


@pytest.mark.parametrize("command", [("status",), ("publish", "none.json", "--name", "VIP"), ("config",)])
async def test_every_command_tells_what_it_ignores_once_and_never_a_value(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / ".env").write_text("AUDIENCE_SYNC_TIMOUT=made-up-value\n")
    settings = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "AUDIENCE_LISTEN": "127.0.0.1:1", "COLUMNS": "200"}
    _, output, errors = await audience(tmp_path, *command, **settings)
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert [(line["variable"], line["origin"], line["nearest"]) for line in lines] == [
        ("AUDIENCE_SYNC_TIMOUT", ".env", "AUDIENCE_SYNC_TIMEOUT")
    ]
    assert "made-up-value" not in output + errors


def test_a_part_of_ours_says_nothing_as_what_started_it_has() -> None:
    assert told("serve", {"AUDIENCE_LIFELINE": "3", "AUDIENCE_SYNC_TIMOUT": "7", "AUDIENCE_PROVIDER": "x"}) == []


def test_the_demo_and_the_page_of_errors_know_no_settings_and_no_file(tmp_path: Path) -> None:
    process = {"AUDIENCE_ENV_FILE": str(tmp_path / "none"), "AUDIENCE_PROVIDER": "facebook", **REAL_LOOKING}
    assert told("demo", process) == told("errors", process) == []
    assert demo_environment(process).values["AUDIENCE_ENV_FILE"] == ""


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"A=1\n\n# a comment\nmade-up\n", 4),
        (b"A=1\nB='made-up\nC=3\n", 2),
        (b'A="made-up"x\n', 1),
        (b"A=1\r\nB: made-up\r\n", 2),
        (b"A=1\n\n  made up\n", 3),
        (b"=made-up\n", 1),
        (b"A=1\nB=made\0up\n", 2),
        (b"A=1\nB=made-up\xe9\n", 2),
        ("A=made-up\n".encode("utf-16"), 1),
    ],
)
def test_a_line_of_a_file_that_cannot_be_read_is_an_error_with_its_number(
    tmp_path: Path, data: bytes, line: int
) -> None:
    file = tmp_path / "settings.env"
    file.write_bytes(data)
    for is_chosen in (True, False):
        with pytest.raises(EnvFileError, match=rf"settings\.env:{line}: ") as raised:
            read_env_file(file, is_chosen=is_chosen)
        assert "made" not in str(raised.value)


def test_what_editors_and_shells_write_into_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_bytes('\ufeffA=1\r\nexport B="two words" # a comment\r\n\r\nC=\r\nD=\'ö\'\nE="x\ny"\n'.encode())
    assert read_env_file(file, is_chosen=True) == {"A": "1", "B": "two words", "D": "ö", "E": "x\ny"}


async def test_a_file_that_is_chosen_must_be_there_and_the_usual_one_need_not(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert (await audience(tmp_path, "config"))[0] == 0
    for chosen in ("none.env", ".env"):
        code, _, errors = await audience(tmp_path, "config", AUDIENCE_ENV_FILE=chosen)
        assert code == 1
        assert errors.startswith(f"audience config: {chosen}: ")
        assert errors.count("\n") == 1
    assert (await audience(tmp_path, "config", AUDIENCE_ENV_FILE=""))[0] == 0


@pytest.mark.parametrize("given", ["VALUE_FROM", "VALUE_CURRENCY"])
@pytest.mark.parametrize(
    "command", [["check"], ["preview", "users.json", "--name", "VIP", "--provider", "facebook/eu"]]
)
async def test_settings_of_an_account_that_go_together_only_are_told_by_their_variables(
    given: str, command: Sequence[str], tmp_path: Path
) -> None:
    (tmp_path / "users.json").write_text('[{"email": "ada@example.com"}]')
    values = {"FACEBOOK_EU_ACCESS_TOKEN": "t", "FACEBOOK_EU_AD_ACCOUNT_ID": "1", "AUDIENCE_PROVIDERS": "facebook/eu"}
    value = {"VALUE_FROM": "profit", "VALUE_CURRENCY": "EUR"}[given]
    code, output, errors = await audience(tmp_path, *command, **values, **{f"FACEBOOK_EU_{given}": value})
    assert code
    assert "FACEBOOK_EU_VALUE_FROM and FACEBOOK_EU_VALUE_CURRENCY: set both or none" in output + errors
    assert "Traceback" not in errors


class Odd:
    """A provider whose settings refuse whatever they are given, without a word of a field."""

    class settings_type(AccountSettings):  # noqa: N801 -- what providers call it
        @model_validator(mode="after")
        def _check_day(self) -> "Odd.settings_type":
            raise ValueError("only on Mondays")


def test_what_an_account_s_settings_say_of_no_field_is_told_of_the_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.settings.config.installed", lambda: {"odd": Odd})
    with pytest.raises(ConfigError, match=r"^odd: only on Mondays$"):
        account(Target("odd"), environment({"ODD_BASE_URL": "https://example.com"}), CommonSettings())
