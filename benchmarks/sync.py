"""What `sync=true` takes beyond the platform's own time, beside a bare round trip through the same Kafka."""

import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import aiohttp
import msgspec

from benchmarks.bare_round_trip import BareRoundTrip, bare_round_trip
from benchmarks.product import make_form
from benchmarks.stamped_platform import Stamped, StampedPlatform, stamped_platform
from benchmarks.whole.trees import Tree, commands_of, environment, started
from schemas.avro.codec import decode_audience_batch, decode_batch_completion
from schemas.records import BatchCompletion
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, ensure_topics, layout
from streams.read.tail import read_to_end

PAIRS = 9
REQUESTS = 20
"""Round trips and uploads of a pair, in turn."""

WARM_UP = 20
LATENCY = 0.05
GOAL = 3.0
USERS = [{"email": f"person{number}@example.com"} for number in range(10)]
RECORD = bytes(600)
"""About as large as a record of ten users."""

STAGES = (
    "uploaded and in the log",
    "taken over by the consumer",
    "called",
    "the platform",
    "the answer read and judged",
    "reported to Kafka",
    "heard by who waits",
    "answered",
)
"""What each time of an upload ends, in their order."""

PLATFORM = STAGES.index("the platform")


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload that waited: its batch, when it was sent and answered, and its call at the platform."""

    batch_id: str
    sent: float
    answered: float
    call: Stamped

    @property
    def overhead(self) -> float:
        """Seconds beyond the platform's own."""
        return self.answered - self.sent - (self.call.answered - self.call.came)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What Kafka and ingestion's log say of uploads, by batch: times of the system's clock."""

    appended: Mapping[str, float]
    completions: Mapping[str, tuple[BatchCompletion, float]]
    woken: Mapping[str, float]

    def stages(self, upload: Upload) -> list[float]:
        """Return the seconds of each stage of an upload, which together are all of it."""
        completion, reported = self.completions[upload.batch_id]
        assert completion.started_at is not None  # noqa: S101 -- of a delivery
        assert completion.finished_at is not None  # noqa: S101 -- of a delivery
        times = [
            upload.sent,
            self.appended[upload.batch_id],
            completion.started_at.timestamp(),
            upload.call.came,
            upload.call.answered,
            completion.finished_at.timestamp(),
            reported,
            self.woken[upload.batch_id],
            upload.answered,
        ]
        return [after - before for before, after in pairwise(times)]


@dataclass(frozen=True, slots=True)
class Pair:
    """Seconds of bare round trips, and uploads, that took place in turn."""

    bare: Sequence[float]
    uploads: Sequence[Upload]

    @property
    def ratio(self) -> float:
        """The overhead of an upload to a bare round trip."""
        return self.overhead / statistics.median(self.bare)

    @property
    def overhead(self) -> float:
        """Seconds of an upload beyond the platform's own."""
        return statistics.median(upload.overhead for upload in self.uploads)


@dataclass(frozen=True, slots=True)
class _Running:
    session: aiohttp.ClientSession
    url: str
    platform: StampedPlatform
    names: TopicNames
    log: Path

    async def upload(self) -> Upload:
        """Upload ten users and wait for Facebook."""
        sent = time.time()
        async with self.session.post(f"{self.url}/audience?sync=true", data=make_form("VIP", USERS)) as response:
            await response.read()
            answered = time.time()
            if response.status != 200:
                raise RuntimeError(f"the upload was answered {response.status}")
            return Upload(response.headers["X-Batch-Id"], sent, answered, self.platform.uploads[-1])


async def measure_sync(kafka: KafkaSettings) -> None:
    """Time uploads of ten users that wait for Facebook, in turn with bare round trips."""
    async with _running(kafka) as running, bare_round_trip(kafka, running.names.prefix, RECORD) as bare:
        for _ in range(WARM_UP):
            await bare.seconds()
            await running.upload()
        pairs = [await _pair(running, bare) for _ in range(PAIRS)]
        traces = await _traces(kafka, running)
    print("\n".join(report(pairs, traces)))  # noqa: T201 -- the output


async def _pair(running: _Running, bare: BareRoundTrip) -> Pair:
    both = [(await bare.seconds(), await running.upload()) for _ in range(REQUESTS)]
    return Pair([seconds for seconds, _ in both], [upload for _, upload in both])


@asynccontextmanager
async def _running(kafka: KafkaSettings) -> AsyncIterator[_Running]:
    """Run ingestion, Facebook's consumer and the ledger against a platform of known pace."""
    names, providers = TopicNames(f"sync-{secrets.token_hex(4)}"), ["facebook"]
    await ensure_topics(kafka, layout(names, [Target(name).group_id(names.prefix) for name in providers]))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        platform = await stack.enter_async_context(stamped_platform(LATENCY))
        values = environment(kafka, names.prefix, platform.url, folder, providers)
        [ingestion, *_] = await stack.enter_async_context(started(Tree.here(), values, folder, commands_of(providers)))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield _Running(session, ingestion.url, platform, names, ingestion.log)


async def _traces(kafka: KafkaSettings, running: _Running) -> Traces:
    appended = {
        decode_audience_batch(record.value).batch_id: record.timestamp.timestamp()
        for record in await read_to_end(kafka, running.names.batches)
        if record.timestamp is not None
    }
    completions = {
        completion.batch_id or "": (completion, record.timestamp.timestamp())
        for record in await read_to_end(kafka, running.names.completions)
        if (completion := decode_batch_completion(record.value)) and record.timestamp is not None
    }
    return Traces(appended=appended, completions=completions, woken=_woken(running.log))


def _woken(log: Path) -> dict[str, float]:
    """Return when ingestion knew how uploads ended, by its log."""
    lines = map(msgspec.json.decode, log.read_text(encoding="utf-8").splitlines())
    ended = (line for line in lines if line["event"] == "Upload ended.")
    return {line["batch_id"]: datetime.fromisoformat(line["timestamp"]).timestamp() for line in ended}


def report(pairs: Sequence[Pair], traces: Traces) -> list[str]:
    """Return the lines that say what waiting costs, and where it goes."""
    uploads = [upload for pair in pairs for upload in pair.uploads]
    return [
        f"sync latency, ten users, {len(pairs)} pairs of {len(pairs[0].uploads)} round trips and uploads in turn, "
        f"the platform takes {1000 * statistics.median(map(_platforms_own, uploads)):.1f} ms",
        f"  beyond the platform    {_spread([1000 * pair.overhead for pair in pairs], '.1f')} ms",
        f"  bare round trip        {_spread([1000 * statistics.median(pair.bare) for pair in pairs], '.1f')} ms",
        f"  x{_spread([pair.ratio for pair in pairs], '.2f')} of a bare round trip; the goal is x{GOAL:.0f} at most",
        f"  where it goes, ms: {_stages([traces.stages(upload) for upload in uploads])}",
    ]


def _platforms_own(upload: Upload) -> float:
    return upload.call.answered - upload.call.came


def _spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def _stages(stages: Sequence[Sequence[float]]) -> str:
    """Return the mean of each stage, as times of the log are cut to milliseconds, without the platform's."""
    means = [1000 * statistics.fmean(took) for took in zip(*stages, strict=True)]
    told = zip(STAGES, means, strict=True)
    return ", ".join(f"{name} {mean:.1f}" for number, (name, mean) in enumerate(told) if number != PLATFORM)
