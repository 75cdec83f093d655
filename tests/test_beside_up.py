"""A command beside a running `audience up` goes by its settings, and says what it can't decode without them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from test_cli import audience, up
from test_parking import Registry
from world import make_batch, make_form

from cli.local_stack.part_settings import shared
from cli.settings.environment import read_environment, write_state
from cli.settings.running_ups import noted
from cli.undecodable import NotAllReadError, Undecodable
from schemas.avro.codec import decode_batch_receipt, encode_batch_receipt
from schemas.avro.framing import Framing
from schemas.records import BatchReceipt, Origin
from schemas.target import Target
from streams.client.schema_registry import ConfluentRegistry
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record

RUNNING = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9093",
    "KAFKA_SASL_PASSWORD": "made-up-password",
    "AUDIENCE_TOPIC_PREFIX": "lists",
    "AUDIENCE_LISTEN": "127.0.0.1:1",
    "AUDIENCE_PROVIDERS": "facebook",
    "SCHEMA_REGISTRY_URL": "https://made-up-user:made-up-password@registry.example.com",
}

PASSWORD = "made-up-password"

READING = (
    ("replay", "--since", "1h", "--dry-run"),
    ("dead-letters", "list"),
    ("dead-letters", "list", "--invalid"),
    ("rejected", "1", "--with-ids"),
    ("publish", "users.json", "--name", "VIP", "--channels", "facebook"),
)


async def every(
    folder: Path, commands: Sequence[tuple[str, ...]], **settings: str
) -> list[tuple[tuple[str, ...], tuple[int, str, str]]]:
    """Run commands side by side; return each with its exit code, output and errors."""
    answers = await asyncio.gather(*(audience(folder, *command, **settings) for command in commands))
    return list(zip(commands, answers, strict=True))


async def upload(url: str) -> None:
    """Upload somebody whom every platform takes, and somebody whom none does."""
    users = [{"email": "ada@example.com", "edgeTagId": "edge-1"}, {"email": "no address", "edgeTagId": ""}]
    async with aiohttp.ClientSession() as session:
        form = make_form(users, batch=make_batch())
        async with session.post(f"{url}/audience?sync=true", data=form) as response:
            assert response.status == 200, await response.text()


async def test_every_command_that_decodes_uses_the_registry_of_the_running_up_and_says_without_it_which_one_is_missing(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "users.json").write_text('[{"email": "ada@example.com"}]')
    settings = {"AUDIENCE_TOPIC_PREFIX": topic_prefix, "AUDIENCE_ENV_FILE": ""}
    async with Registry() as address, AsyncExitStack() as stack:
        registry = address.replace("://", f"://made-up-user:{PASSWORD}@")
        running = await stack.enter_async_context(up(tmp_path, kafka, SCHEMA_REGISTRY_URL=registry, **settings))
        url = running[1][-1].removeprefix("ready ")
        await upload(url)
        state = tmp_path / "data" / "up.json"
        assert state.stat().st_mode & 0o077 == 0, "it holds a password"
        for command, (code, output, errors) in await every(tmp_path, READING, AUDIENCE_ENV_FILE=""):
            assert code == 0, (command, output, errors)
            assert PASSWORD not in output + errors
            assert "decoded" not in output + errors
            if command[0] == "replay":
                assert "facebook" in output
            if command[-1] == "--with-ids":
                assert "edgeTagId" in output

        elsewhere = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "AUDIENCE_PROVIDERS": "facebook",
            "AUDIENCE_DATA": str(tmp_path / "other"),
            "AUDIENCE_LISTEN": url.removeprefix("http://"),
            "FACEBOOK_ACCESS_TOKEN": "made-up",
            "FACEBOOK_AD_ACCOUNT_ID": "1",
        }
        shown = ("dead-letters", "show", f"{topic_prefix}.batches-0@0")
        for command, (code, output, errors) in await every(tmp_path, (*READING, shown), **settings, **elsewhere):
            assert (code, "SCHEMA_REGISTRY_URL" in errors.splitlines()[-1]) == (1, True), (command, output, errors)
            assert "There " not in output + errors
            assert not any(nothing in output + errors for nothing in ("No record", "nothing failed", "no account is"))


def test_a_command_of_another_cluster_takes_over_nothing(tmp_path: Path) -> None:
    write_state(tmp_path, RUNNING, [])
    mine = {
        "AUDIENCE_DATA": str(tmp_path),
        "AUDIENCE_ENV_FILE": "",
        "KAFKA_BOOTSTRAP_SERVERS": "other.example.com:9092",
    }
    assert read_environment(mine).values == {name: value for name, value in mine.items() if value}


@pytest.mark.parametrize(
    "mine",
    [
        {"KAFKA_BOOTSTRAP_SERVERS": "kafka.example.com:9093", "AUDIENCE_TOPIC_PREFIX": "lists"},
        {"AUDIENCE_PROVIDERS": "facebook", "AUDIENCE_TOPIC_PREFIX": "lists"},
        {},
        {"AUDIENCE_LISTEN": "127.0.0.1:0"},
    ],
)
def test_an_up_elsewhere_is_found_by_settings_that_say_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mine: Mapping[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    process = {"XDG_STATE_HOME": str(tmp_path / "state"), "AUDIENCE_ENV_FILE": "", **mine}
    write_state(tmp_path / "elsewhere", RUNNING, [])
    with noted(tmp_path / "elsewhere", process):
        found = read_environment(process, anywhere=True)
        own = read_environment({**process, "SCHEMA_REGISTRY_URL": "https://own.example.com"}, anywhere=True)
    assert {name: found.values[name] for name in RUNNING} == RUNNING
    assert own.values["SCHEMA_REGISTRY_URL"] == "https://own.example.com"


def test_who_names_accounts_beside_the_sandbox_takes_over_where_records_stand_and_nobody_s_account(
    tmp_path: Path,
) -> None:
    write_state(tmp_path, {**RUNNING, "FACEBOOK_BASE_URL": "http://127.0.0.1:2/facebook"}, ["facebook"])
    mine = {"AUDIENCE_DATA": str(tmp_path), "AUDIENCE_ENV_FILE": "", "AUDIENCE_PROVIDERS": "facebook"}
    assert read_environment(mine).values == {name: value for name, value in mine.items() if value}, (
        "real people are sent nowhere by what a sandbox has"
    )
    found = read_environment({**mine, "KAFKA_BOOTSTRAP_SERVERS": RUNNING["KAFKA_BOOTSTRAP_SERVERS"]}).values
    assert found["SCHEMA_REGISTRY_URL"] == RUNNING["SCHEMA_REGISTRY_URL"]
    assert not [name for name in found if name.startswith("FACEBOOK_")]


def test_what_others_go_by_has_no_credentials_of_accounts_and_whole_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").touch()
    told = {"KAFKA_SSL_CA_LOCATION": "ca.pem", "TIKTOK_PHONE_PLUS": "false", "AUDIENCE_DEFAULT_REGION": "DE"}
    kept = {"AUDIENCE_API_TOKENS": "made-up", "TIKTOK_ACCESS_TOKEN": "made-up", "AUDIENCE_HEALTH_LISTEN": "127.0.0.1:2"}
    found = shared({**RUNNING, **told, **kept}, [Target("tiktok")])
    assert found == {**RUNNING, **told, "KAFKA_SSL_CA_LOCATION": str(tmp_path / "ca.pem")}


def test_a_state_that_others_could_read_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text("{}")
    (tmp_path / "up.json").chmod(0o644)
    path = write_state(tmp_path, RUNNING, [])
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text())["environment"] == RUNNING


def test_what_can_t_be_decoded_is_never_nothing() -> None:
    names = TopicNames("audience")
    foreign, without = Framing(ConfluentRegistry("mock://", names.of_records)), Framing()
    cases = [
        (without, [b"\x00\x00\x00\x00\x07" + b"a" * 40], "1 receipts are written by a schema registry"),
        (foreign, [b"\x00\x00\x00\x00\x07" + b"a" * 40], "1 receipts name schemas that the registry does not have"),
        (without, [b"garbage", b""], "none of the 2 receipts can be decoded"),
    ]
    for framing, values, told in cases:
        undecodable = Undecodable("receipts", framing)

        def decode(record: Record, framing: Framing = framing) -> None:
            decode_batch_receipt(record.value, framing)

        take = undecodable.counted(decode)
        for offset, value in enumerate(values):
            take(Record(origin=Origin(topic=names.receipts, partition=0, offset=offset), value=value))
        with pytest.raises(NotAllReadError, match=f"^{told}.*SCHEMA_REGISTRY_URL"):
            undecodable.check()
    Undecodable("receipts", without).check()


def test_a_number_that_somebody_wrote_among_receipts_names_no_registry_and_hides_none_of_them() -> None:
    undecodable = Undecodable("receipts", Framing())
    good = encode_batch_receipt(
        BatchReceipt(origin=Origin(topic="b", partition=0, offset=0), timestamp=datetime.now(UTC), verdict="valid")
    )
    take = undecodable.counted(lambda record: decode_batch_receipt(record.value))
    origin = Origin(topic="r", partition=0, offset=0)
    for value in (good, (42).to_bytes(8, "big"), b"\x00\x00\x00\x00\x07" + b"a" * 40):
        take(Record(origin=origin, value=value))
    assert (undecodable.read, undecodable.left_out, undecodable.framed) == (1, 2, 1)
    assert not undecodable.is_setting_missing, "what is readable is not to be given up for it"
    with pytest.raises(NotAllReadError, match="SCHEMA_REGISTRY_URL"):
        undecodable.check()
