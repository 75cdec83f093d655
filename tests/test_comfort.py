"""What makes the command line easy to live with: names in full, hints, and a running `up` that is found anywhere."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from test_cli import audience
from test_replay import delivered_to_tiktok, replaying, reset, settings, until_sent
from world import World, make_users, world

from cli.config.listing import settings as all_settings
from cli.config.printing import env_lines
from cli.settings.env_file import read_env_file
from cli.settings.environment import Environment, SeveralUpsError, read_environment, write_state
from cli.settings.running_ups import data_folders, folder_of, noted
from schemas.did_you_mean import did_you_mean
from streams.client.settings import KafkaSettings

STRANGE = {
    "FACEBOOK_CUSTOMER_FILE_SOURCE": "a 'quoted' # value \\ with $HOME",
    "AUDIENCE_LISTEN": "127.0.0.1:1",
    "KAFKA_SASL_USERNAME": "=x",
    "TIKTOK_TIMEOUT": "7",
}


@pytest.mark.parametrize("columns", ["20", "80", "300"])
async def test_config_never_cuts_a_variable_s_name(tmp_path: Path, columns: str) -> None:
    code, output, _ = await audience(tmp_path, "config", COLUMNS=columns)
    assert code == 0
    for name in ("AUDIENCE_ALLOW_WEAKER_TOPICS", "FACEBOOK_CUSTOMER_FILE_SOURCE", "KAFKA_BOOTSTRAP_SERVERS"):
        assert name in output


async def test_config_says_what_is_wrong_with_any_setting_by_variable_and_shows_them_all_the_same(
    tmp_path: Path,
) -> None:
    wrong = {"AUDIENCE_SYNC_TIMEOUT": "made-up", "FACEBOOK_SLOTS": "made-up", "AUDIENCE_PROVIDERS": "facebook"}
    code, output, errors = await audience(tmp_path, "config", "--json", **wrong)
    told = {one["variable"]: one for one in map(json.loads, output.splitlines())}
    assert (code, told["FACEBOOK_SLOTS"]["value"], told["FACEBOOK_ACCESS_TOKEN"]["isRequired"]) == (1, "made-up", True)
    assert "made-up" not in errors
    assert "AUDIENCE_SYNC_TIMEOUT: " in errors
    assert "FACEBOOK_SLOTS: " in errors
    code, _, errors = await audience(tmp_path, "config", KLAVIYO_SLOTS="0")
    assert (code, errors.count("KLAVIYO_SLOTS: ")) == (1, 1)


async def test_config_shows_no_secret_in_any_form(tmp_path: Path) -> None:
    secrets = {
        "AUDIENCE_API_TOKENS": "made-up-a",
        "TIKTOK_ACCESS_TOKEN": "made-up-b",
        "KAFKA_SASL_PASSWORD": "made-up-c",
    }
    for form in ((), ("--json",), ("--env",)):
        code, output, _ = await audience(tmp_path, "config", *form, **secrets)
        assert (code, "made-up" in output) == (0, False)
        assert all(name in output for name in secrets)


def test_what_config_prints_for_a_file_is_read_back_as_it_was(tmp_path: Path) -> None:
    environment = Environment(STRANGE, dict.fromkeys(STRANGE, "environment"))
    file = tmp_path / "settings"
    lines = [line for setting in all_settings(environment) for line in env_lines(setting)]
    file.write_text("\n".join(lines) + "\n")
    assert read_env_file(file, is_chosen=True) == STRANGE


async def test_a_command_that_is_none_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    code, _, errors = await audience(tmp_path, "stauts")
    assert code == 2
    assert errors.startswith("audience: there is no such command (did you mean status?); there are serve, ")
    code, output, _ = await audience(tmp_path, "--version")
    assert (code, output.split()[0]) == (0, "audience")


def test_a_hint_names_only_what_is_known() -> None:
    assert did_you_mean(["facebok", "FACEBOOK", "x" * 1000], ["facebook", "tiktok"]) == " (did you mean facebook?)"
    assert did_you_mean(["ada@example.com"], ["facebook", "tiktok"]) == ""


async def test_a_channel_that_is_none_is_told_with_the_nearest_one(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, consuming=()) as found:
        status, body, _ = await found.upload(make_users(1), "?channels=facebok,tictok")
        assert (status, body["errors"]) == (
            400,
            ["channels: send some of facebook, tiktok, klaviyo, separated by commas (did you mean facebook, tiktok?)"],
        )


def test_a_running_up_is_found_from_any_folder_and_a_note_that_was_left_over_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process = {"XDG_STATE_HOME": str(tmp_path / "state"), "AUDIENCE_ENV_FILE": ""}
    data = tmp_path / "elsewhere"
    write_state(data, {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, [])
    left_over = folder_of(process) / "1"
    left_over.parent.mkdir(parents=True)
    left_over.write_text(str(tmp_path / "gone"))
    with noted(data, process):
        found = read_environment(process, anywhere=True)
        assert (found.data, found.values["KAFKA_BOOTSTRAP_SERVERS"]) == (data, "127.0.0.1:1")
        assert "KAFKA_BOOTSTRAP_SERVERS" not in read_environment(process).values, "only who asks looks elsewhere"
        for name in ("KAFKA_BOOTSTRAP_SERVERS", "AUDIENCE_LISTEN", "AUDIENCE_DATA"):
            chosen = read_environment({**process, name: "127.0.0.1:2"}, anywhere=True)
            assert chosen.values.get("KAFKA_BOOTSTRAP_SERVERS") in (None, "127.0.0.1:2"), "what is set is meant"
    assert not left_over.exists()
    assert data_folders(process) == []


async def test_with_several_ups_a_command_says_which_there_are_and_how_to_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process = {"XDG_STATE_HOME": str(tmp_path / "state"), "AUDIENCE_ENV_FILE": ""}
    for name in ("one", "two"):
        write_state(tmp_path / name, {}, [])
    with noted(tmp_path / "one", process):
        (folder_of(process) / str(os.getpid())).rename(folder_of(process) / "other")
        with noted(tmp_path / "two", process):
            write_state(tmp_path / "one", {"AUDIENCE_LISTEN": "127.0.0.1:1"}, [])
            write_state(tmp_path / "two", {"AUDIENCE_LISTEN": "127.0.0.1:2"}, [])
            with pytest.raises(SeveralUpsError, match=r"AUDIENCE_DATA=FOLDER, one of \S+/one, \S+/two"):
                read_environment(process, anywhere=True)
            chosen = read_environment({**process, "AUDIENCE_DATA": str(tmp_path / "two")}, anywhere=True)
            assert chosen.values["AUDIENCE_LISTEN"] == "127.0.0.1:2"


async def test_replays_are_listed_and_one_that_runs_is_stopped_in_order(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    records = 60
    async with delivered_to_tiktok(kafka, topic_prefix, records) as found:
        await reset(found)
        code, output, errors = await listed(tmp_path, found)
        assert (code, output, errors) == (0, "", "No replay is known.\n")
        mine = {"AUDIENCE_PROVIDERS": "tiktok", "AUDIENCE_SHUTDOWN_TIMEOUT": "2", "TIKTOK_SLOTS": "1"}
        async with replaying(tmp_path, found, "--since", "1h", "--yes", **mine) as process:
            await until_sent(found, 5)
            await found.inject(provider="tiktok", fault="stall", untilCleared=True)  # so that it runs for long enough
            code, output, errors = await listed(tmp_path, found)
            replay_id, state = output.splitlines()[1].split()[:2]
            assert (code, state, "--since" in output) == (0, "running", True), errors
            elsewhere = tmp_path / "elsewhere"
            elsewhere.mkdir()
            _, output, _ = await listed(elsewhere, found)
            assert output.splitlines()[1].startswith(f"{replay_id}  elsewhere")
            code, _, errors = await stop(elsewhere, found, replay_id)
            assert (code, "begun on another machine or with another AUDIENCE_DATA" in errors) == (1, True)
            code, output, errors = await stop(tmp_path, found, replay_id)
            assert (code, f"audience replay --resume {replay_id}" in output) == (0, True), errors
            assert await asyncio.wait_for(process.wait(), 20) == 130
        _, output, _ = await listed(tmp_path, found)
        assert output.splitlines()[1].split()[:2] == [replay_id, "interrupted"]
        code, _, errors = await stop(tmp_path, found, replay_id)
        assert (code, "does not run" in errors) == (1, True)


async def listed(folder: Path, found: World) -> tuple[int, str, str]:
    return await audience(folder, "replay", "list", **settings(found, ["tiktok"]))


async def stop(folder: Path, found: World, replay_id: str) -> tuple[int, str, str]:
    return await audience(folder, "replay", "stop", replay_id, **settings(found, ["tiktok"]))
