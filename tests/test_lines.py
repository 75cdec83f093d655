"""Lines of the log: whole, of one part each, and few while something is away."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from confluent_kafka import KafkaError
from structlog.testing import capture_logs
from world import make_users, world

from cli.printing.log_lines import LONGEST, labelled, relay
from cli.printing.logs import EVERY, SHORT_OUTAGE, Repetitions, drop_short_outages
from consumer.retries.circuit_breaker import CircuitBreaker
from providers.kit.errors import StopError
from streams.client.broker_outages import Outages, suspect_of
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port
from streams.read.tail import Tail
from streams.write.writer import Writer


def relayed(*scripts: str) -> list[Mapping[str, Any]]:
    """Return what is told of processes that write to standard error at the same time, each known by its number."""
    told: list[Mapping[str, Any]] = []
    threads = []
    for number, script in enumerate(scripts):
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
        assert process.stderr is not None
        thread = threading.Thread(target=relay, args=(process.stderr, f"part {number}", told.append))
        thread.start()
        threads.append((process, thread))
    for process, thread in threads:
        process.wait(60)
        thread.join(60)
    return told


def test_lines_of_two_processes_are_never_glued_together_and_each_says_its_part() -> None:
    pieces = """
import os
for _ in range(2000):
    os.write(2, b'{"event": ')
    os.write(2, b'"x"}' + bytes([10]))
"""
    told = relayed(pieces, pieces)
    assert [dict(line) for line in told].count({"event": "x", "part": "part 0"}) == 2000
    assert [dict(line) for line in told].count({"event": "x", "part": "part 1"}) == 2000


def test_half_a_line_of_a_process_that_died_is_told_and_harms_no_other() -> None:
    told = relayed('import os\nos.write(2, b\'{"event": "half\')\nos.abort()')
    assert [(line["event"], line["part"]) for line in told] == [('{"event": "half', "part 0")]


def test_a_very_long_line_is_told_in_pieces() -> None:
    told = relayed(f"import sys\nsys.stderr.write('x' * {LONGEST + 5} + '\\n')")
    assert [len(line["event"]) for line in told] == [LONGEST, 5]
    assert {line["part"] for line in told} == {"part 0"}


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", "[1, 2]", "\xff", '"text"'])
def test_what_is_no_line_of_a_log_becomes_an_error_s(text: str) -> None:
    found = labelled(text.encode("latin-1"), "ledger")
    assert (found["level"], found["part"]) == ("error", "ledger")


def test_a_process_whose_reader_is_gone_goes_on() -> None:
    script = (
        "import structlog\nfrom cli.printing.logs import configure_logs\nconfigure_logs('ledger')\n"
        "for _ in range(3):\n    structlog.get_logger().info('A line.')\nprint('went on')"
    )
    ours, theirs = os.pipe()
    os.close(ours)
    ran = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=theirs, check=False, timeout=60)
    os.close(theirs)
    assert (ran.returncode, ran.stdout) == (0, b"went on\n")


def passed(events: Sequence[Mapping[str, Any]], clock: Sequence[float]) -> list[Mapping[str, Any]]:
    """Return which of some events come through at some times."""
    times = iter(clock)
    repetitions = Repetitions(lambda: next(times))
    through: list[Mapping[str, Any]] = []
    for event in events:
        try:
            through.append(repetitions(None, "warning", dict(event)))
        except structlog.DropEvent:
            continue
    return through


def test_what_hundreds_of_records_say_of_one_outage_is_a_line_a_minute() -> None:
    waiting = {"event": "Not acknowledged: trying again.", "action": "retry", "outage_seconds": 1.0}
    times = [n * EVERY / 100 for n in range(201)]
    through = passed([waiting] * len(times), times)
    assert [line.get("left_out") for line in through] == [None, 99, 99]


def test_what_is_tried_again_for_another_reason_is_always_told() -> None:
    failed = {"event": "A platform call failed: trying again.", "action": "retry"}
    assert len(passed([failed] * 3, [0.0] * 3)) == 3


@pytest.mark.parametrize(
    ("seconds", "is_told"), [(0.0, False), (SHORT_OUTAGE - 1, False), (SHORT_OUTAGE, True), (None, True)]
)
def test_a_command_that_is_soon_over_speaks_of_long_outages_only(seconds: float | None, *, is_told: bool) -> None:
    event = {"event": "A broker is away."} | ({} if seconds is None else {"outage_seconds": seconds})
    try:
        assert drop_short_outages(None, "warning", event) == event
    except structlog.DropEvent:
        assert not is_told
    else:
        assert is_told


async def told_of(lines: Sequence[Mapping[str, Any]], event: str) -> list[Mapping[str, Any]]:
    """Wait until a line is there; return all such."""
    async with asyncio.timeout(60):
        while not (found := [line for line in lines if line["event"] == event]):
            await asyncio.sleep(0.1)
    return found


@pytest.mark.kafka
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_of_all_clients_of_a_process_a_broker_that_goes_is_one_line_and_one_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with LocalBroker(data=tmp_path, port=free_port()) as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        await ensure_topics(kafka, [TopicSpec("topic", 1)])
        with capture_logs() as lines:
            async with Writer(kafka), Tail(kafka, "topic"), Tail(kafka, "topic"):
                await broker.kill()
                away = await told_of(lines, "A broker is away; the client goes on by itself.")
                await asyncio.sleep(2)  # in which clients report some dozens of problems
                await broker.start()
                back = await told_of(lines, "A broker is back.")
        assert [line["broker"] for line in away + back] == [broker.bootstrap_servers] * 2
        assert [line for line in lines if "Kafka reports" in str(line["event"])] == []


@pytest.mark.parametrize(
    ("text", "broker", "is_listed"),
    [
        ("127.0.0.1:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed", "127.0.0.1:9092", False),
        (
            "sasl_ssl://kafka-1.example.com:9093/2: Disconnected (after 1ms in state UP)",
            "kafka-1.example.com:9093",
            True,
        ),
        ("GroupCoordinator: kafka-1.example.com:9093: Disconnected", "kafka-1.example.com:9093", False),
        ("[::1]:9092/1: Connect to ipv6#[::1]:9092 failed", "[::1]:9092", True),
        ("FindCoordinator response error: Local: Broker transport failure", "all", False),
    ],
)
def test_a_broker_is_known_by_what_the_client_says_of_it(text: str, broker: str, *, is_listed: bool) -> None:
    found = suspect_of(KafkaError(KafkaError._TRANSPORT, text))
    assert found is not None
    assert (found.name, found.is_listed) == (broker, is_listed)


def test_a_problem_that_is_no_broker_s_is_told_once_a_minute() -> None:
    outages = Outages()
    with capture_logs() as lines:
        for _ in range(50):
            outages.note(KafkaError(KafkaError._MAX_POLL_EXCEEDED), {})
    assert [line["error"] for line in lines] == ["_MAX_POLL_EXCEEDED"]


async def test_a_parked_account_names_itself_the_platform_s_request_and_the_batch() -> None:
    async def nothing(_: object = None) -> None:
        pass

    breaker = CircuitBreaker(probe=nothing, announce=nothing, account="facebook/eu")
    with capture_logs() as lines:
        breaker.failed(
            await breaker.enter("batch-1"), StopError("token_invalid", platform_code="190", request_id="Ab12")
        )
    (line,) = [line for line in lines if line["event"] == "The account is parked: nothing is lost."]
    named = (line["account"], line["error"], line["platform_code"], line["request_id"], line["batch_id"])
    assert named == ("facebook/eu", "token_invalid", "190", "Ab12", "batch-1")


async def test_an_accepted_upload_names_its_session_sequence_and_audience(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=[]) as found:
        with capture_logs() as lines:
            status, _, headers = await found.upload(make_users(2), name="Guests")
    assert status == 200
    (line,) = [line for line in lines if line["event"] == "Upload accepted."]
    assert (line["session"], line["sequence"], line["audience"]) == ("1", 1, "Guests")
    assert line["batch_id"] == headers["X-Batch-Id"]
    assert json.dumps(line)
