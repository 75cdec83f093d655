"""What the command costs, from its start to the last batch in the log, beside the same users posted as ready JSON."""

import asyncio
import os
import secrets
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from audience_client.http.async_client import AsyncServerClient
from audience_client.http.batches import BatchToSend
from audience_client.upload.options import LANES, UploadOptions
from audience_client.upload.prepare import prepare
from benchmarks.files.demands import Demand, memory, speed_of_command
from benchmarks.files.processes import COMMAND, Cost, measured
from benchmarks.product import local_kafka, product
from benchmarks.whole.usage import parse_stat

PAIRS = 5


@dataclass(frozen=True, slots=True)
class Taken:
    """What the same users cost an ingestion process as ready JSON: seconds by the clock, and of its processor time."""

    elapsed: float
    processor: float


async def measure_uploading(folder: Path, rows: int, many: int) -> list[Demand]:
    """Upload a file by the command and its users as ready JSON, in turn, to one ingestion process; then a larger file.

    The files are those that reading was measured with.
    """
    ready = _ready(folder / "customers.csv")
    environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
    async with local_kafka() as kafka, product(kafka, ["klaviyo"]) as running:
        url = await running.serve()
        await _post(url, ready[:5])  # the server's first requests are slower
        posted, uploaded = [], []
        for _ in range(PAIRS):
            posted.append(await _taken(url, ready))
            uploaded.append(await _upload(folder / "customers.csv", url, environment))
        ready.clear()
        ratio = _print(rows, posted, uploaded)
        peak = statistics.median(cost.peak for cost in uploaded)
        larger = await _upload(folder / "many.csv", url, environment)
    _print_many(many, larger, peak)
    return [speed_of_command(ratio), *memory("command", peak, larger.peak)]


def _ready(path: Path) -> list[bytes]:
    """Return the batches that the command makes of a file."""
    with prepare(path, UploadOptions(name="VIP")) as prepared:
        return [batch.users for batch in prepared.reader.batches(prepared.plan.batch_size)]


async def _taken(url: str, batches: Sequence[bytes]) -> Taken:
    began, processor = time.monotonic(), _processor_of_ingestion()
    await _post(url, batches)
    return Taken(time.monotonic() - began, _processor_of_ingestion() - processor)


def _processor_of_ingestion() -> float:
    """Return the processor time of the one `serve` that this process has started."""
    own = [int(pid) for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()]
    (serving,) = [pid for pid in own if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return parse_stat(Path(f"/proc/{serving}/stat").read_text()).seconds


async def _post(url: str, batches: Sequence[bytes]) -> None:
    """Post batches as one session, as many at once as the command does."""
    session = secrets.randbits(48)
    left = iter(enumerate(batches, 1))

    async def lane(client: AsyncServerClient) -> None:
        for sequence, users in left:
            await client.send_batch(
                BatchToSend(
                    name="VIP",
                    session_id=session,
                    sequence=sequence,
                    total_batches=len(batches),
                    total_users=sum(users.count(b"{") for users in batches),
                    users=users,
                )
            )

    async with AsyncServerClient(url) as client, asyncio.TaskGroup() as tasks:
        for _ in range(LANES):
            tasks.create_task(lane(client))


async def _upload(path: Path, url: str, environment: Mapping[str, str]) -> Cost:
    return await asyncio.to_thread(measured, COMMAND, path, url, environment=environment)


def _print(rows: int, posted: Sequence[Taken], uploaded: Sequence[Cost]) -> float:
    """Print both by the clock, and by processor time, which is told apart from what else the machine does.

    Return how many times as long the command takes by the clock, the median of the pairs.
    """
    clock = [(took.elapsed, cost.elapsed) for took, cost in zip(posted, uploaded, strict=True)]
    cores = [(took.processor, cost.processor) for took, cost in zip(posted, uploaded, strict=True)]
    print(f"files, {rows:,} rows of csv to one ingestion process, median of {PAIRS} pairs")  # noqa: T201 -- the output
    for what, pairs in (("rows/s by the clock", clock), ("rows/s per core", cores)):
        ready, command = (statistics.median(took) for took in zip(*pairs, strict=True))
        ratios = [command / ready for ready, command in pairs]
        print(  # noqa: T201 -- the output
            f"  {what:20} ready JSON, as ingestion takes it {rows / ready:10,.0f}   {COMMAND} {rows / command:10,.0f}, "
            f"takes x{statistics.median(ratios):.2f} of that (x{min(ratios):.2f} to x{max(ratios):.2f})"
        )
    print(f"  {COMMAND}: peak {statistics.median(cost.peak for cost in uploaded):.0f} MiB")  # noqa: T201 -- the output
    return statistics.median(command / ready for ready, command in clock)


def _print_many(many: int, cost: Cost, peak: float) -> None:
    told = f"{many / cost.elapsed:12,.0f}   peak {cost.peak:.0f} MiB, x{cost.peak / peak:.2f}"
    print(f"  {many:,} rows once by the clock {told}")  # noqa: T201 -- the output
