"""The keys of what is remembered of who was removed: read, refused without a value, made by `up`."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from test_cli import audience

from cli.local_stack.own_hash_key import FILE, own_hash_key
from cli.settings.config import ConfigError, load
from cli.settings.environment import Environment
from consumer.removals.account_removals import check_hash_keys
from schemas.avro.codec import encode_removed_audience
from schemas.avro.framing import SINGLE_OBJECT
from schemas.hash_keys import VARIABLE, HashKey, HashKeysMissingError, parse_hash_keys
from schemas.records import Origin, RemovedAudience
from schemas.target import Target
from streams.read.consumer_thread import Record
from streams.tables.removals import RemovalTables, key_of

FIRST, SECOND, THIRD = (f"{number} made-up key of a test" for number in ("first", "second", "third"))


def test_the_first_key_hashes_and_all_are_known_by_their_ids() -> None:
    keys = parse_hash_keys(f"{FIRST}, {SECOND}")
    assert keys.first.id == hashlib.sha256(FIRST.encode()).hexdigest()[:8]
    assert keys.ids == {keys.first.id, HashKey(SECOND.encode()).id}
    assert keys.lacks([keys.first.id, "0badcafe"]) == ["0badcafe"]
    assert keys.first.hashed([b"a", b"b"]) == keys.first.hashed([b"a", b"b"])
    assert keys.first.hashed([b"a"]) != HashKey(SECOND.encode()).hashed([b"a"])
    assert len(HashKey(b"k" * 1000).hashed([b"a"])[0]) == 16


async def knowing(*keys: str) -> RemovalTables:
    """Return what an account knows that removed people from an audience by each of these keys."""
    tables = RemovalTables(SINGLE_OBJECT)
    for partition, key in enumerate(keys):
        entry = RemovedAudience(
            provider="tiktok",
            audience="VIP",
            partition=partition,
            first_offset=0,
            key_id=HashKey(key.encode()).id,
            written_at=datetime.now(UTC),
        )
        place = Origin(topic="t", partition=0, offset=partition)
        await tables.take(Record(origin=place, key=key_of(entry).encode(), value=encode_removed_audience(entry)))
    return tables


@pytest.mark.parametrize(
    ("used", "told"),
    [
        ([SECOND], "lacks the key with the id {}, by which tiktok remembers who was removed; set it, behind"),
        ([SECOND, THIRD], "lacks the keys with the ids {} and {}, by which .*; set them, behind"),
        ([FIRST, SECOND, THIRD, "a fourth key of a test"], "the keys with the ids {}, {} and {}, by which"),
    ],
)
async def test_who_lacks_keys_is_told_which_by_their_ids(used: list[str], told: str) -> None:
    ids = sorted(HashKey(key.encode()).id for key in used if key != FIRST)
    with pytest.raises(HashKeysMissingError, match=told.format(*ids)):
        check_hash_keys(Target("tiktok"), await knowing(*used), parse_hash_keys(FIRST))


@pytest.mark.parametrize("text", ["wee", f"{FIRST},", f"{FIRST},,{SECOND}", f"{FIRST},tiny"])
def test_a_key_that_is_short_or_missing_is_refused_by_its_variable_and_without_its_value(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load(Environment({VARIABLE: text}, {}))
    told = str(refused.value)
    assert told.startswith(f"{VARIABLE}: a key is ")
    assert not any(part and part.strip() in told for part in text.split(","))


def test_no_key_shows_in_what_is_printed_of_settings_or_keys() -> None:
    config = load(Environment({VARIABLE: FIRST}, {}))
    assert FIRST not in repr(config)
    assert FIRST not in repr(config.consumer.keys)


async def test_the_settings_of_a_command_hide_the_keys(tmp_path: Path) -> None:
    code, output, _ = await audience(tmp_path, "config", AUDIENCE_ENV_FILE="", AUDIENCE_HASH_KEYS=FIRST)
    assert code == 0
    assert VARIABLE in output
    assert FIRST not in output


def test_up_makes_one_key_for_its_folder_that_nobody_else_can_read(tmp_path: Path) -> None:
    key = own_hash_key(tmp_path / "data")
    assert own_hash_key(tmp_path / "data") == key
    assert (tmp_path / "data" / FILE).stat().st_mode & 0o777 == 0o600
    assert parse_hash_keys(key)
    assert own_hash_key(tmp_path / "other") != key


def test_a_file_of_up_that_holds_no_key_is_told_by_its_path(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("x")
    with pytest.raises(ConfigError, match=f"{VARIABLE}: .*{FILE} can't be used"):
        own_hash_key(tmp_path)
