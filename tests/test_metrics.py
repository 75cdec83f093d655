"""What `GET /metrics` tells: exactly what happened, by bounded labels, and nobody's data."""

import asyncio
import re
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec
import pytest
from pages import BLOCKS
from prometheus_client.parser import text_string_to_metric_families
from test_cli import up
from tools import needs
from world import KEYS, World, make_form, make_users, sandbox_account, world

from cli.pages.metrics_page import metrics_page
from consumer.account.metrics import AccountCounters
from consumer.account.service import consume, health_of
from consumer.account.settings import ConsumerSettings
from ledger.receipts import keep_receipts
from providers.kit.rate_limiter import Pace
from schemas.avro.framing import SINGLE_OBJECT
from schemas.error_words import VOCABULARY
from schemas.metrics.definitions import LABELS, METRICS, OK, OTHER, Metric
from schemas.metrics.registry import Metrics
from schemas.records import AccountLoss, BatchCompletion, Counts, Origin
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.readiness import Unready
from streams.processes.ports import free_port
from streams.read.consumer_thread import Record
from streams.read.in_flight import Budget, InFlight
from streams.read.offset_tracker import OffsetTracker
from streams.tables.account_states import write_loss
from streams.write.writer import Writer

ROOT = Path(__file__).parent.parent
AUDIENCE = "Very secret VIP"
TOKEN = "made-up-token"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
BY_NAME = {metric.name: metric for metric in METRICS}
WORDS = {*VOCABULARY, OTHER, OK}
FIXED: Mapping[str, set[str]] = {
    "state": {"running", "throttled", "blocked"},
    "mode": {"add", "remove"},
    "verdict": {"valid", "invalid", "undecodable", "quarantined"},
    "error": WORDS,
    "reason": WORDS,
    "result": WORDS,
}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
"""What a scrape has, by a sample's name and its labels in order."""


def samples_in(text: str) -> Samples:
    """Return what a scrape says, as Prometheus' own parser reads it."""
    families = text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value_of(samples: Samples, name: str, **labels: str) -> float:
    """Return what a sample stands at, of all that have these labels together; 0 where there is none."""
    return sum(
        value for (found, having), value in samples.items() if found == name and labels.items() <= dict(having).items()
    )


def metric_of(sample: str) -> Metric:
    """Return the row of the list that a sample is of."""
    return BY_NAME.get(sample) or BY_NAME[re.sub(r"_(bucket|sum|count)$", "", sample)]


@asynccontextmanager
async def observed(kafka: KafkaSettings, prefix: str, retry_attempts: int = 8) -> AsyncIterator["Observed"]:
    """Run ingestion, which has a token, and a consumer of facebook and the ledger, which tell their metrics."""
    ports = [free_port(), free_port()]
    settings = {"AUDIENCE_API_TOKENS": TOKEN}
    async with world(kafka, prefix, providers=["facebook"], consuming=[], settings=settings) as found:
        consumers = [_consumer(found, ports[0], retry_attempts), _ledger(found, ports[1])]
        tasks = [asyncio.create_task(work) for work in consumers]
        try:
            yield Observed(found, ports)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _listening(port: int, **changed: object) -> ConsumerSettings:
    listen = {"AUDIENCE_SHUTDOWN_TIMEOUT": 1, "AUDIENCE_HEALTH_LISTEN": f"127.0.0.1:{port}"}
    return ConsumerSettings.model_validate({**KEYS, **listen, **changed})


async def _consumer(found: World, port: int, retry_attempts: int) -> None:
    account = sandbox_account(Target("facebook"), found.sandbox_url)
    settings = _listening(port, AUDIENCE_RETRY_ATTEMPTS=retry_attempts)
    await consume(account, settings, found.kafka, found.names, SINGLE_OBJECT)


async def _ledger(found: World, port: int) -> None:
    metrics = Metrics()

    def is_open(unready: Unready) -> AbstractAsyncContextManager[None]:
        return health_of(_listening(port), unready, metrics)

    await keep_receipts(found.kafka, found.names, SINGLE_OBJECT, is_open, metrics)


class Observed:
    """A world whose processes are scraped."""

    def __init__(self, world: World, ports: list[int]) -> None:
        self.world = world
        self.urls = {
            "ingestion": f"{world.url}/metrics",
            "consumer": f"http://127.0.0.1:{ports[0]}/metrics",
            "ledger": f"http://127.0.0.1:{ports[1]}/metrics",
        }

    async def scrape(self, process: str) -> str:
        """Return what a process tells."""
        headers = WITH_TOKEN if process == "ingestion" else {}
        async with self.world.session.get(self.urls[process], headers=headers) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            return await response.text()

    async def upload(self, users: list[dict[str, object]], query: str = "?sync=true") -> int:
        """Upload people; return the status."""
        form = make_form(users, name=AUDIENCE)
        url = f"{self.world.url}/audience{query}"
        async with self.world.session.post(url, data=form, headers=WITH_TOKEN) as response:
            return response.status

    async def until(self, process: str, is_so: Callable[[Samples], bool]) -> Samples:
        """Return what a process tells once that is so."""
        async with asyncio.timeout(60):
            while True:
                found = samples_in(await self.scrape(process))
                if is_so(found):
                    return found
                await asyncio.sleep(0.1)

    async def ready(self) -> None:
        """Return when the consumer and the ledger have joined."""
        async with asyncio.timeout(60):
            for process in ("consumer", "ledger"):
                while not await self._is_ready(process):
                    await asyncio.sleep(0.1)

    async def _is_ready(self, process: str) -> bool:
        try:
            return value_of(samples_in(await self.scrape(process)), "audience_ready") == 1
        except OSError:
            return False


def changes(before: Samples, after: Samples, kind: str) -> Samples:
    """Return by how much samples of metrics of a type have grown, those that have not left out; a scrape is no news."""
    return {
        key: value - before.get(key, 0)
        for key, value in after.items()
        if metric_of(key[0]).type == kind and value != before.get(key, 0) and ("route", "/metrics") not in key[1]
    }


FACEBOOK = (("account", "facebook"), ("provider", "facebook"))


async def test_an_upload_changes_exactly_the_counters_of_what_became_of_it(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with observed(kafka, topic_prefix) as found:
        await found.ready()
        before = {process: samples_in(await found.scrape(process)) for process in found.urls}
        assert await found.upload([*make_users(2), {"firstName": "Ada"}]) == 200
        await found.until("ledger", lambda s: value_of(s, "audience_receipts_total") == 1)
        await found.until("consumer", lambda s: value_of(s, "audience_in_flight_records") == 0)
        after = {process: samples_in(await found.scrape(process)) for process in found.urls}

    counted = {process: changes(before[process], after[process], "counter") for process in found.urls}
    sent = counted["ingestion"].pop(("audience_uploaded_bytes_total", ()))
    assert 300 < sent < 3_000
    assert counted["ingestion"] == {
        ("audience_requests_total", (("route", "/audience"), ("status", "200"))): 1,
        ("audience_uploaded_users_total", (("mode", "add"),)): 3,
    }
    assert counted["consumer"] == {
        ("audience_records_total", (*FACEBOOK, ("status", "partial"))): 1,
        ("audience_delivered_users_total", FACEBOOK): 2,
        ("audience_rejected_users_total", (*FACEBOOK, ("reason", "no_identifier"))): 1,
        ("audience_attempts_total", (*FACEBOOK, ("result", "ok"))): 1,
    }
    assert counted["ledger"] == {("audience_receipts_total", (("verdict", "valid"),)): 1}
    taken = {process: changes(before[process], after[process], "histogram") for process in found.urls}
    assert taken["ingestion"][("audience_kafka_acknowledgement_seconds_count", ())] == 1
    assert taken["ingestion"][("audience_sync_wait_seconds_count", ())] == 1
    assert taken["ledger"][("audience_kafka_acknowledgement_seconds_count", ())] == 1
    assert value_of(after["ingestion"], "audience_body_budget_used_bytes") == 0
    assert value_of(after["consumer"], "audience_oldest_undelivered_seconds") == 0


async def test_a_blocked_account_shows_with_all_that_waits_for_it_until_it_is_open_again(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with observed(kafka, topic_prefix) as found:
        await found.ready()
        await found.world.inject(provider="facebook", fault="auth", untilCleared=True)
        await found.upload(make_users(2), "")
        blocked = await found.until("ingestion", lambda s: value_of(s, "audience_account_blocked") == 1)
        waiting = await found.until("consumer", lambda s: value_of(s, "audience_lag_records") == 1)
        assert value_of(blocked, "audience_account_blocked", account="facebook", error="token_invalid") == 1
        assert value_of(blocked, "audience_account_state", state="blocked") == 1
        assert value_of(blocked, "audience_account_state") == 1
        assert value_of(waiting, "audience_in_flight_records") == 1
        assert value_of(waiting, "audience_in_flight_bytes") > 50
        assert value_of(waiting, "audience_assigned_partitions", account="facebook") == 12
        assert value_of(waiting, "audience_lag_seconds") > 0
        assert value_of(waiting, "audience_oldest_undelivered_seconds") > 0
        assert value_of(waiting, "audience_attempts_total", result="token_invalid") >= 1
        await found.world.clear_faults()
        ended = await found.until("ingestion", lambda s: value_of(s, "audience_account_state", state="running") == 1)
        assert value_of(ended, "audience_account_blocked") == 0
        done = await found.until("consumer", lambda s: value_of(s, "audience_records_total", status="delivered") == 1)
        assert value_of(done, "audience_delivered_users_total") == 2


async def test_throttles_later_attempts_and_losses_show(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with observed(kafka, topic_prefix, retry_attempts=1) as found:
        await found.ready()
        await found.world.inject(provider="facebook", fault="throttled", seconds=30, operation="find")
        await found.upload(make_users(2), "")
        held = await found.until("consumer", lambda s: value_of(s, "audience_throttle_seconds_total") > 0)
        assert 29 < value_of(held, "audience_throttle_seconds_total", account="facebook") < 31
        await found.until("ingestion", lambda s: value_of(s, "audience_account_state", state="throttled") == 1)
        loss = AccountLoss(
            provider="facebook", partition=0, first_offset=0, end_offset=7, records=7, reported_at=datetime.now(UTC)
        )
        async with Writer(kafka) as writer:
            await write_loss(writer, found.world.names.accounts, loss, SINGLE_OBJECT)
        await found.until("ingestion", lambda s: value_of(s, "audience_lost_records_total", account="facebook") == 7)


async def test_a_record_that_is_tried_again_later_shows_with_its_age(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with observed(kafka, topic_prefix, retry_attempts=1) as found:
        await found.ready()
        await found.world.inject(provider="facebook", fault="server_error", calls=1, operation="upload")
        await found.upload(make_users(2), "")
        await found.until("consumer", lambda s: value_of(s, "audience_retry_pointers") == 1)
        await found.until("consumer", lambda s: value_of(s, "audience_lag_records") == 0)
        later = await found.until("consumer", lambda s: value_of(s, "audience_oldest_undelivered_seconds") > 0)
        assert value_of(later, "audience_records_total") == 0
        assert value_of(later, "audience_lag_seconds") == 0


async def test_a_scrape_is_of_the_list_has_bounded_labels_and_names_nobody(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with observed(kafka, topic_prefix) as found:
        await found.ready()
        await found.upload(make_users(2))
        async with found.world.session.get(
            f"{found.world.url}/audience/batches/person0@example.com", headers=WITH_TOKEN
        ):
            pass
        async with found.world.session.get(f"{found.world.url}/person0@example.com", headers=WITH_TOKEN):
            pass
        told = {process: await found.scrape(process) for process in found.urls}

    for process, text in told.items():
        assert re.findall(rf"person|example|secret|{AUDIENCE}|{topic_prefix}|{TOKEN}", text) == []
        for name, labels in samples_in(text):
            metric = metric_of(name)
            assert process in metric.processes
            assert {label for label, _ in labels} - {"le"} == set(metric.labels)
            assert [value for label, value in labels if value not in FIXED.get(label, {value})] == []
    routes = {dict(labels)["route"] for name, labels in samples_in(told["ingestion"]) if "requests" in name}
    assert routes == {"/audience", "/audience/batches/{batch_id}", OTHER}


async def test_the_endpoint_s_metrics_need_a_token_where_there_are_some(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with observed(kafka, topic_prefix) as found, found.world.session.get(found.urls["ingestion"]) as response:
        assert response.status == 401


@pytest.mark.timeout(180)
async def test_up_prints_where_each_process_tells_its_metrics(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    own = {name: f"127.0.0.1:{free_port()}" for name in ("AUDIENCE_LISTEN", "AUDIENCE_SANDBOX_LISTEN")}
    async with up(tmp_path, kafka, AUDIENCE_TOPIC_PREFIX=topic_prefix, AUDIENCE_ENV_FILE="", **own) as (_, lines):
        printed = [line for line in lines if line.startswith("metrics ")]
        urls = [line.split(" ")[1] for line in printed]
        async with aiohttp.ClientSession() as session:
            texts = [await (await session.get(url)).text() for url in urls]
    [block] = [block for block in BLOCKS if block.page.name == "running.md" and block.text.startswith("metrics ")]
    assert without_ports("\n".join(printed)) == without_ports(block.text.rstrip("\n"))
    assert [value_of(samples_in(text), "audience_ready") for text in texts] == [1] * 5
    assert len(set(urls)) == 5


def without_ports(text: str) -> str:
    """Return a text without the ports of this run."""
    return re.sub(r":\d+/", "/", text)


def test_what_no_list_has_is_counted_as_other() -> None:
    metrics = Metrics()
    counters = AccountCounters(metrics, Target("facebook", "eu"))
    counters.called("made up")
    end = BatchCompletion(
        origin=Origin(topic="log", partition=0, offset=0),
        provider="facebook",
        account="eu",
        status="failed",
        error_code="quarantined",
        counts=Counts(received=2, rejected=2),
        rejected_reasons={"email: not_an_email": 1, "made up": 1},
        started_at=datetime.now(UTC),
    )
    counters.reported(end)
    counters.reported(msgspec.structs.replace(end, status="retrying"))
    found = samples_in(metrics.exposition().decode())
    assert value_of(found, "audience_attempts_total", account="facebook/eu", result=OTHER) == 1
    assert value_of(found, "audience_records_total") == 1
    assert value_of(found, "audience_failed_records_total", error="quarantined") == 1
    assert value_of(found, "audience_quarantined_records_total") == 1
    assert value_of(found, "audience_rejected_users_total", reason="not_an_email") == 1
    assert value_of(found, "audience_rejected_users_total", reason=OTHER) == 1


def test_an_account_is_behind_by_what_it_has_not_read_and_what_is_in_flight_and_by_the_oldest_of_that() -> None:
    in_flight, first = InFlight(Budget(1_000, 10)), datetime(2026, 1, 1, tzinfo=UTC)
    for partition in (0, 1):
        in_flight.begin(partition, OffsetTracker(5))
    records = [
        Record(origin=Origin(topic="log", partition=0, offset=5 + number), timestamp=first + timedelta(hours=number))
        for number in range(2)
    ]
    assert [in_flight.add(record) for record in records] == [True, True]
    assert in_flight.unfinished({0: 10, 1: 6, 2: 100}) == 2 + 3 + 1  # partition 2 is another's
    assert in_flight.unfinished({}) == 2
    assert in_flight.oldest() == first
    in_flight.finish(records[0])
    assert in_flight.oldest() == first + timedelta(hours=1)
    in_flight.finish(records[1])
    assert (in_flight.unfinished({0: 10, 1: 6}), in_flight.oldest()) == (4, None)


def test_overlapping_holds_of_a_platform_count_once() -> None:
    now = [0.0]
    pace = Pace({}, clock=lambda: now[0])
    pace.hold(10)
    now[0] = 4.0
    pace.hold(10)
    pace.hold(3)
    assert pace.held_in_all == 14.0
    now[0] = 20.0
    pace.hold(5)
    assert pace.held_in_all == 19.0


def test_the_page_of_metrics_is_made_of_the_list_which_has_each_label() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == metrics_page(), "run `make docs`"
    assert {label for metric in METRICS for label in metric.labels} == LABELS.keys()
    assert all(f"| `{metric.name}` |" in metrics_page() for metric in METRICS)


@needs("promtool", "prometheus")
async def test_promtool_finds_nothing_wrong_with_what_processes_tell(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with observed(kafka, topic_prefix) as found:
        await found.ready()
        await found.upload(make_users(2))
        told = {process: await found.scrape(process) for process in found.urls}
    for process, text in told.items():
        checking = await asyncio.create_subprocess_exec(
            "promtool", "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT
        )
        output, _ = await checking.communicate(text.encode())
        assert (checking.returncode, output.decode()) == (0, ""), process
