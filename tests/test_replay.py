"""`audience replay`: what is in the log is sent again, to whom it is meant for, exactly, and beside live traffic."""

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from processes import killed_in_the_end
from test_cli import audience, clean_environ
from test_dead_letters import delete_before
from test_parking import states
from test_pipeline import hashes, minimal_record, publish, single_object
from test_refusals import fault
from world import ALL, World, consuming_one, make_batch, make_users, sandbox_account, world

from consumer.account.account import Account
from consumer.account.runtime import Deployment
from consumer.account.settings import ConsumerSettings
from consumer.replay.replayer import ReplayOrder, StaysParkedError, Wish
from consumer.replay.replayer import replay as send_again
from consumer.retries.clock import REAL_TIME, Time
from ledger.receipts import keep_receipts
from providers.installed import installed
from providers.kit.errors import PlatformError
from providers.kit.http import Transport
from providers.kit.provider import AnyProvider
from sandbox import CREDENTIALS, SandboxOptions
from schemas.avro.codec import decode_batch_completion
from schemas.avro.framing import SINGLE_OBJECT
from schemas.records import AccountState, AudienceUser, BatchCompletion, Origin, Purchase
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.groups import committed_offsets
from streams.read.tail import read_to_end
from streams.tables.account_states import write_state
from streams.write.writer import Writer


@asynccontextmanager
async def ledger(found: World) -> AsyncIterator[None]:
    """Write receipts while the block is entered."""
    keeping = asyncio.create_task(keep_receipts(found.kafka, found.names, SINGLE_OBJECT, lambda _: nullcontext()))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@asynccontextmanager
async def recorded(kafka: KafkaSettings, prefix: str, **options: Any) -> AsyncIterator[World]:
    """Run the product with a ledger."""
    async with world(kafka, prefix, **options) as found, ledger(found):
        yield found


@asynccontextmanager
async def delivered_to_tiktok(kafka: KafkaSettings, prefix: str, records: int) -> AsyncIterator[World]:
    """Run the product with a ledger, on a slow TikTok that has had so many records, each of an audience of its own.

    So no two of them share a call.
    """
    options = SandboxOptions(limits=False, latency=0.1)
    async with recorded(kafka, prefix, providers=["tiktok"], options=options) as found:
        values = [{**minimal_record(person), "name": f"VIP {person}"} for person in range(records)]
        await asyncio.to_thread(publish, found, *map(single_object, values))
        await found.completions(records)
        yield found


def settings(found: World, providers: Sequence[str] = ALL, **more: str) -> dict[str, str]:
    """Return the settings of a command that calls the sandbox."""
    mine = {
        "AUDIENCE_ENV_FILE": "",
        "AUDIENCE_PROVIDERS": ",".join(providers),
        "AUDIENCE_TOPIC_PREFIX": found.names.prefix,
        "KAFKA_BOOTSTRAP_SERVERS": found.kafka.bootstrap_servers,
    }
    for provider in ALL:
        mine |= CREDENTIALS[provider]
        mine[f"{provider.upper()}_BASE_URL"] = f"{found.sandbox_url}/{provider}"
        mine[f"{provider.upper()}_PACE"] = "off"
    return {**mine, **more}


async def replay(folder: Path, found: World, *words: str, **more: Any) -> tuple[int, str, str]:
    """Run `audience replay` to its end."""
    return await audience(folder, "replay", *words, **settings(found, **more))


async def upload_all(found: World, uploads: Sequence[tuple[str, int, int]]) -> None:
    """Upload so many people from a number on under each name, and wait until every platform has them."""
    for sequence, (name, count, start) in enumerate(uploads, start=1):
        batch = make_batch(sequence=sequence, totalBatches=len(uploads))
        status, body, _ = await found.upload(make_users(count, start), "?sync=true", name=name, batch=batch)
        assert status == 200, body


async def members(found: World, names: Sequence[str]) -> Mapping[tuple[str, str], set[tuple[str, ...]]]:
    """Return what every platform holds."""
    return {(p, name): await found.members(p, f"blotout_{name}") for p in ALL for name in names}


async def wipe(found: World) -> None:
    """Let every platform forget everything."""
    for provider in ALL:
        await found.session.delete(f"{found.sandbox_url}/_sandbox/members", params={"provider": provider})
        assert await found.members(provider) == set()


async def live_offsets(found: World, providers: Sequence[str] = ALL) -> Mapping[str, list[int]]:
    """Return what the live groups have committed."""
    groups = [Target(provider).group_id(found.names.prefix) for provider in providers]
    return {group: await committed_offsets(found.kafka, group, found.names.batches, 12) for group in groups}


async def settled_offsets(found: World, records: int) -> Mapping[str, list[int]]:
    """Return what the live groups have committed, once that is all of so many records."""
    async with asyncio.timeout(20):
        while True:
            offsets = await live_offsets(found)
            if all(sum(max(0, offset) for offset in group) == records for group in offsets.values()):
                return offsets
            await asyncio.sleep(0.1)


async def test_after_the_platforms_lost_everything_a_replay_restores_every_member_and_touches_no_live_group(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    names = ["VIP", "Others", "Third"]
    async with recorded(kafka, topic_prefix) as found:
        await upload_all(found, [("VIP", 50, 0), ("Others", 20, 10), ("VIP", 30, 40), ("Third", 5, 0)])
        before, offsets = await members(found, names), await settled_offsets(found, 4)
        assert all(before.values())
        await wipe(found)
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--yes")
        assert code == 0, output + errors
        assert await members(found, names) == before
        assert await live_offsets(found) == offsets
        ended = [one for one in await found.completions(24) if one.delivery != "live"]
        (replay_id,) = {one.delivery for one in ended}
        assert re.fullmatch(r"r-[0-9a-f]{8}", replay_id)
        assert [one.status for one in ended] == ["delivered"] * 12
        assert (await replay(tmp_path, found, "--resume", replay_id))[0] == 1


async def calls(found: World) -> dict[str, int]:
    """Return how many calls each platform has met since the counters were reset."""
    return {provider: counted["calls"] for provider, counted in (await found.counters()).items()}


async def reset(found: World) -> None:
    """Count anew."""
    await found.session.delete(f"{found.sandbox_url}/_sandbox/counters")


async def replayed(found: World) -> list[BatchCompletion]:
    """Return the ends that replays have reported."""
    records = await read_to_end(found.kafka, found.names.completions)
    told = [decode_batch_completion(record.value) for record in records]
    return [one for one in told if one.delivery != "live" and one.status != "retrying"]


async def test_after_one_platform_s_failures_only_that_platform_is_sent_anything_and_nothing_a_second_time(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix) as found:
        await found.inject(**fault("tiktok", "40000"), until="cleared")
        for start in range(3):
            status, body, _ = await found.upload(make_users(4, 3 * start), "?sync=true")
            assert (status, len(body["errors"])) == (400, 1)
        await found.clear_faults()
        assert (await found.upload(make_users(2, 100), "?sync=true"))[0] == 200
        await reset(found)
        failed_only = ["--only", "failed", "--reason", "request_refused", "--yes"]
        code, output, errors = await replay(tmp_path, found, *failed_only)
        assert code == 0, output + errors
        counted = await calls(found)
        assert (counted["facebook"], counted["klaviyo"]) == (0, 0)
        assert (await found.counters())["tiktok"]["rows"] == 12
        assert (await found.counters())["tiktok"]["byOperation"]["upload"] <= 3
        assert await found.members("tiktok") == await found.members("facebook")

        await reset(found)
        code, output, _ = await replay(tmp_path, found, *failed_only)
        assert (code, output.splitlines()[-1]) == (0, "There is nothing to send.")
        assert await calls(found) == dict.fromkeys(ALL, 0)


async def test_only_rejected_sends_just_the_users_that_were_rejected(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix) as found:
        await found.inject(provider="klaviyo", fault="partial")
        await found.inject(provider="facebook", fault="partial")
        assert (await found.upload(make_users(5), "?sync=true"))[0] == 200
        await reset(found)
        code, output, errors = await replay(tmp_path, found, "--only", "rejected", "--yes")
        assert code == 0, output + errors
        counted = await found.counters()
        assert {provider: counted[provider]["rows"] for provider in ALL} == {"facebook": 1, "tiktok": 0, "klaviyo": 1}
        assert len(await found.members("klaviyo")) == len(await found.members("facebook")) == 5


async def test_an_account_that_was_configured_after_the_uploads_is_filled(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    new = {
        "FACEBOOK_NEW_ACCESS_TOKEN": CREDENTIALS["facebook"]["FACEBOOK_ACCESS_TOKEN"],
        "FACEBOOK_NEW_AD_ACCOUNT_ID": "4242",
    }
    async with recorded(kafka, topic_prefix) as found:
        await upload_all(found, [("VIP", 20, 0), ("VIP", 20, 20)])
        assert (await found.upload(make_users(1, 99), "?sync=true&channels=tiktok"))[0] == 200
        await reset(found)
        words = ["--provider", "facebook/new", "--since", "30d", "--yes"]
        code, output, errors = await replay(tmp_path, found, *words, **new)
        assert code == 0, output + errors
        query = {"provider": "facebook", "account": "4242"}
        async with found.session.get(f"{found.sandbox_url}/_sandbox/members", params=query) as answer:
            held = {tuple(member) for member in (await answer.json())["members"]}
        assert held == await found.members("facebook")
        assert len(held) == 40
        assert {one.account for one in await replayed(found)} == {"new"}
        counted = await calls(found)
        assert (counted["tiktok"], counted["klaviyo"]) == (0, 0)


async def test_additions_to_one_audience_share_calls_and_audiences_go_beside_each_other(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    options = SandboxOptions(limits=False, latency=0.1)
    async with recorded(kafka, topic_prefix, providers=["tiktok"], options=options) as found:
        names = [f"audience {number}" for number in range(4)]  # the order of removals: tests/test_removal_replay.py
        for start in range(4):
            await asyncio.gather(*(found.upload(make_users(3, start), name=name) for name in names))
        await found.completions(16)
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--yes", AUDIENCE_PROVIDERS="tiktok")
        assert code == 0, output + errors
        ended = sorted(await replayed(found), key=lambda one: one.origin)
        by_audience = [[one for one in ended if one.audience_id == audience] for audience in audiences_of(ended)]
        assert [len(its) for its in by_audience] == [4] * 4
        for its in by_audience:
            assert any(one.shared_calls for one in its)
        assert (await found.counters())["tiktok"]["byOperation"]["upload"] < 16 + len(ended)
        begun, finished = span(ended[0])
        beside = [one for one in ended if span(one)[0] < finished and span(one)[1] > begun]
        assert len({one.audience_id for one in beside}) > 1


def span(completion: BatchCompletion) -> tuple[datetime, datetime]:
    """Return from when to when a delivery took."""
    assert completion.started_at is not None
    assert completion.finished_at is not None
    return completion.started_at, completion.finished_at


def audiences_of(completions: Sequence[BatchCompletion]) -> set[str | None]:
    """Return the audiences that completions are of."""
    return {one.audience_id for one in completions}


async def test_a_dry_run_sends_nothing_and_leaves_nothing_behind(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix) as found:
        await upload_all(found, [("VIP", 7, 0), ("Others", 5, 0)])
        await reset(found)
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--dry-run")
        assert (code, errors) == (0, "")
        assert await calls(found) == dict.fromkeys(ALL, 0)
        assert await replayed(found) == []
        assert not (tmp_path / "data").exists()
        cells = [re.split(r" {2,}", line) for line in output.splitlines()[1:4]]
        assert [row[:4] for row in cells] == [[provider, "2", "2", "12"] for provider in ALL]
        assert output.splitlines()[-1] == "Nothing is sent: this is a dry run."
        code, output, errors = await replay(tmp_path, found, "--since", "1h")
        assert (code, errors.strip()[-9:]) == (1, "say --yes")
        assert await calls(found) == dict.fromkeys(ALL, 0)


async def test_what_left_the_log_is_told_and_the_rest_is_sent(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix, providers=["tiktok"]) as found:
        await upload_all_to(found, [(5, 0), (4, 5)])
        first = min(one.origin for one in await found.completions(2))
        await asyncio.to_thread(delete_before, kafka, first)
        await found.session.delete(f"{found.sandbox_url}/_sandbox/members", params={"provider": "tiktok"})
        words = ["--audience", "VIP", "--yes"]
        code, output, errors = await replay(tmp_path, found, *words, AUDIENCE_PROVIDERS="tiktok")
        assert code == 0, output + errors
        assert "Not in the log any more: 1 records, 1 batches, 5 users; upload them again." in output
        assert len(await found.members("tiktok")) == 4


async def upload_all_to(found: World, uploads: Sequence[tuple[int, int]]) -> None:
    """Upload so many people from a number on, one after the other."""
    for count, start in uploads:
        assert (await found.upload(make_users(count, start), "?sync=true"))[0] == 200


async def test_a_replay_that_was_killed_in_the_middle_is_resumed_and_exact(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    options, records = SandboxOptions(limits=False, latency=0.05, job_seconds=0.05), 60
    async with recorded(kafka, topic_prefix, options=options) as found:
        names = [f"A{number}" for number in range(records // 2)]  # few records of each, as those share calls
        values = [{**minimal_record(person), "name": names[person % len(names)]} for person in range(records)]
        await asyncio.to_thread(publish, found, *map(single_object, values))
        await found.completions(3 * records)
        before = await members(found, names)
        assert all(len(held) == 2 for held in before.values())
        await wipe(found)
        await reset(found)
        slots = {f"{provider.upper()}_SLOTS": "1" for provider in ALL}
        brief = {"AUDIENCE_CLAIM_EXPIRY": "3"}  # for so long a killed process is waited for that creates an audience
        async with replaying(tmp_path, found, "--since", "1h", "--yes", "--rate", "1", **slots, **brief) as process:
            await until_sent(found, records * 3 // 2)
            process.kill()
            await process.wait()
        (kept,) = (tmp_path / "data" / "replays").glob("r-*.json")
        sent = await rows(found)
        assert sent < 3 * records, "the replay was through before it was killed"
        code, output, errors = await replay(tmp_path, found, "--resume", kept.stem, "--yes", "--rate", "1", **brief)
        assert code == 0, output + errors
        assert await members(found, names) == before
        assert await rows(found) < 3 * records + sent // 2
        assert {one.delivery for one in await replayed(found)} == {kept.stem}


async def test_ctrl_c_says_how_to_go_on_and_what_was_finished_is_not_sent_again(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    records = 40
    async with delivered_to_tiktok(kafka, topic_prefix, records) as found:
        await reset(found)
        words = ["--since", "1h", "--yes"]
        mine = {"AUDIENCE_PROVIDERS": "tiktok", "TIKTOK_SLOTS": "1"}
        async with replaying(tmp_path, found, *words, **mine) as process:
            await until_sent(found, 5)
            process.send_signal(signal.SIGINT)
            output, _ = await asyncio.wait_for(process.communicate(), 40)
        assert process.returncode == 130
        resume = output.decode().splitlines()[-1].removeprefix("Not finished. Go on by: audience ").split()
        code, printed, errors = await audience(
            tmp_path, *resume, "--yes", **settings(found, AUDIENCE_PROVIDERS="tiktok")
        )
        assert code == 0, printed + errors
        held = [await found.members("tiktok", f"blotout_VIP_{person}") for person in range(records)]
        assert held == [hashes(person) for person in range(records)]
        assert (await found.counters())["tiktok"]["rows"] == records


@asynccontextmanager
async def replaying(folder: Path, found: World, *words: str, **more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `audience replay` while the block is entered."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.entry", "replay", *words, cwd=folder,
        env=clean_environ(folder, **settings(found, **more)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    async with killed_in_the_end(process):
        yield process


async def rows(found: World) -> int:
    """Return how many rows the platforms have taken since the counters were reset."""
    return sum(counted["rows"] for counted in (await found.counters()).values())


async def until_sent(found: World, wanted: int) -> None:
    """Wait until the platforms have taken so many rows."""
    async with asyncio.timeout(40):
        while await rows(found) < wanted:
            await asyncio.sleep(0.02)


async def test_a_replay_yields_to_what_parks_the_account_and_never_says_itself_how_the_account_stands(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with recorded(kafka, topic_prefix, providers=["facebook"], consuming=[]) as found:
        served = sandbox_account(Target("facebook"), found.sandbox_url)
        async with consuming_one(served, kafka, found.names):
            assert (await found.upload(make_users(3), "?sync=true"))[0] == 200
        said = AccountState(
            provider="facebook", state="blocked", error_code="token_invalid", changed_at=datetime.now(UTC)
        )
        async with Writer(kafka) as writer:
            await write_state(writer, found.names.accounts, said, SINGLE_OBJECT)
        await reset(found)
        await found.inject(provider="facebook", fault="auth")
        words = ["--since", "1h", "--yes"]
        code, output, errors = await replay(tmp_path, found, *words, AUDIENCE_PROVIDERS="facebook")
        assert code == 0, output + errors
        counted = (await found.counters())["facebook"]["byOperation"]
        assert (counted["find"], counted["upload"]) == (2, 1), "one probe is refused, the next one passes"
        assert [(one.state, one.error_code) for one in await states(found)][-2:] == [
            ("running", None),
            ("blocked", "token_invalid"),
        ]


async def test_without_a_ledger_that_is_said(kafka: KafkaSettings, topic_prefix: str, tmp_path: Path) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"]) as found:
        assert (await found.upload(make_users(1), "?sync=true"))[0] == 200
        code, output, errors = await replay(tmp_path, found, "--since", "1h", "--yes", AUDIENCE_PROVIDERS="tiktok")
        assert (code, output) == (1, "")
        assert errors.splitlines()[-1].startswith("audience replay: no ledger is running: 1 records of the log")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 1, "say what to send again: --since 2h"),
        (["--until", "1h"], 1, "say what to send again"),
        (["--since", "1h", "--until", "2h"], 1, "--until: give a time after --since"),
        (["--since", "1h", "--type", "primary"], 1, "--type: say which --audience"),
        (["--since", "yesterday"], 2, "write a time such as 2h"),
        (["--batch", "17"], 2, "write a batch id"),
        (["--since", "1h", "--rate", "1.5"], 2, "at most 1"),
        (["--since", "1h", "--reason", "bad_luck"], 2, "`audience errors` prints them all"),
        (["--since", "1h", "--provider", "myspace"], 2, "there are facebook"),
        (["--resume", "r-00000000", "--since", "1h"], 1, "keeps what was chosen"),
    ],
)
async def test_a_wrong_wish_is_told_in_one_sentence(tmp_path: Path, words: list[str], code: int, told: str) -> None:
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "AUDIENCE_PROVIDERS": "tiktok"}
    found, output, errors = await audience(tmp_path, "replay", *words, **environ)
    assert (found, output) == (code, "")
    assert told in errors.splitlines()[-1]


async def test_what_can_t_be_resumed_says_why(kafka: KafkaSettings, topic_prefix: str, tmp_path: Path) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"]) as found:
        for words, told in ((["../../etc"], "write the id of a replay"), (["r-00000000"], "there is no ")):
            code, _, errors = await replay(tmp_path, found, "--resume", *words)
            assert (code, told in errors) == (1, True)
        (tmp_path / "data" / "replays").mkdir(parents=True)
        (tmp_path / "data" / "replays" / "r-00000000.json").write_text("{}")
        code, _, errors = await replay(tmp_path, found, "--resume", "r-00000000")
        assert (code, "is damaged" in errors) == (1, True)


@dataclass
class Seen:
    """Notes what it is told of a replay."""

    before: int = 0
    ends: list[BatchCompletion] = field(default_factory=list)
    words: set[str] = field(default_factory=set)

    def begun(self, before: Sequence[Origin]) -> None:
        """Note how many records were finished before."""
        self.before = len(before)

    def ended(self, completion: BatchCompletion) -> None:
        """Note an end."""
        self.ends.append(completion)

    def waits(self, error: PlatformError | None, seconds: float) -> None:
        """Note what parks the account."""
        del seconds
        self.words |= {error.code} if error else set()


async def _hasty_sleep(seconds: float) -> None:
    await asyncio.sleep(seconds / 100)


HASTY = Time(clock=lambda: 100 * time.monotonic(), sleep=_hasty_sleep)


async def in_process(
    found: World,
    replay_id: str,
    wanted: Sequence[BatchCompletion],
    to: Account | None = None,
    pace: Time = HASTY,
    *,
    with_attributes: bool = False,
) -> Seen:
    """Replay records to an account, TikTok's by default, by a clock a hundred times as fast."""
    seen = Seen()
    wishes = {one.origin: Wish("custom:VIP") for one in wanted}
    order = ReplayOrder(replay_id=replay_id, wishes=wishes, rate=1.0, removed=(), with_attributes=with_attributes)
    deployment = Deployment(kafka=found.kafka, names=found.names, framing=SINGLE_OBJECT, time=pace)
    served = to or sandbox_account(Target("tiktok"), found.sandbox_url)
    try:
        await send_again(served, ConsumerSettings(), deployment, order, seen)
    except StaysParkedError as error:
        seen.words.add(f"stays {error.error.code}")
    return seen


async def test_an_account_that_stays_parked_fails_nothing_and_is_left_for_a_resume(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"]) as found:
        await upload_all_to(found, [(2, 0), (2, 2), (2, 4)])
        wanted = await found.completions(3)
        await found.inject(provider="tiktok", fault="auth", until="cleared")
        seen = await in_process(found, "r-00000001", wanted)
        assert (seen.ends, seen.words) == ([], {"token_invalid", "stays token_invalid"})
        await found.clear_faults()
        seen = await in_process(found, "r-00000001", wanted)
        assert [one.status for one in seen.ends] == ["delivered"] * 3
        assert [one.state for one in await states(found)] == ["running"]


async def test_what_can_t_be_sent_in_place_fails_and_leaves_no_pointer(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"]) as found:
        await upload_all_to(found, [(2, 0), (2, 2)])
        wanted = await found.completions(2)
        await found.inject(**fault("tiktok", "40201"), until="cleared")
        seen = await in_process(found, "r-00000002", wanted)
        assert [(one.status, one.error_code, one.attempts) for one in seen.ends] == [("failed", "busy", 8)] * 2
        retry = found.names.retry(Target("tiktok").group_id(topic_prefix))
        assert await read_to_end(kafka, retry) == []
        await found.clear_faults()
        seen = await in_process(found, "r-00000002", wanted)
        assert (seen.before, seen.ends) == (2, [])
        assert len((await in_process(found, "r-00000003", wanted)).ends) == 2


async def test_purchases_go_to_a_receiver_again_only_when_asked_for(kafka: KafkaSettings, topic_prefix: str) -> None:
    bodies: list[Any] = []

    async def receive(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    buyer = {"email": "ada@example.com", "firstName": "Ada", "purchase": {"currency": "EUR", "profit": 7.0}}
    async with world(kafka, topic_prefix, providers=["tiktok"]) as found, TestServer(app) as receiver:
        assert (await found.upload([buyer], "?sync=true"))[0] == 200
        kind = installed()["webhook"]
        values = {"base_url": str(receiver.make_url("/")), "secret": "made-up", "allow_private": True}
        account = Account(target=Target("webhook"), kind=kind, settings=kind.settings_type.model_validate(values))
        wanted = await found.completions(1)
        for number, with_attributes in enumerate((False, True)):
            seen = await in_process(found, f"r-{number:08}", wanted, account, with_attributes=with_attributes)
            assert [one.status for one in seen.ends] == ["delivered"]
    assert [body["users"] for body in bodies] == [
        [{"email": "ada@example.com", "firstName": "Ada"}],
        [{"email": "ada@example.com", "firstName": "Ada", "purchase": {"currency": "EUR", "profit": 7.0}}],
    ]


def test_klaviyo_is_sent_identifiers_alone_and_facebook_what_it_matches_by() -> None:
    user = AudienceUser(
        email="ada@example.com", first_name="Ada", country="US", phone="4155550100", purchase=Purchase(profit=7.0)
    )
    klaviyo = sandbox_provider("klaviyo").bare_row(user)
    assert klaviyo == {
        "type": "profile",
        "attributes": {"email": "ada@example.com", "phone_number": "+14155550100"},
    }
    facebook = sandbox_provider("facebook", value_from="profit", value_currency="EUR")
    assert facebook.bare_row(user) == facebook.row(user)


def sandbox_provider(name: str, **settings: str) -> AnyProvider:
    """Return a provider that calls nobody."""
    account = sandbox_account(Target(name), "http://127.0.0.1:9", **settings)
    return account.kind(account.settings, cast(Transport, None))


async def test_a_replay_waits_while_the_account_is_throttled(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"]) as found:
        await upload_all_to(found, [(2, 0)])
        wanted = await found.completions(1)
        until = datetime.now(UTC) + timedelta(seconds=3)
        said = AccountState(provider="tiktok", state="throttled", until=until, changed_at=datetime.now(UTC))
        async with Writer(kafka) as writer:
            await write_state(writer, found.names.accounts, said, SINGLE_OBJECT)
        seen = await in_process(found, "r-00000001", wanted, pace=REAL_TIME)
        assert [one.status for one in seen.ends] == ["delivered"]
        (told,) = await replayed(found)
        assert span(told)[1] >= until
