"""How long an upload of one user waits for an account that has nothing else to do."""

import secrets
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.product import make_form
from benchmarks.small.load import PROVIDER
from benchmarks.whole.run import Surroundings
from benchmarks.whole.trees import Process, Tree, commands_of, environment, started
from schemas.target import Target
from streams.cluster.topics import TopicNames, ensure_topics, layout

WARM_UP = 20
UPLOADS = 200
USERS = [{"email": "person1@example.com"}]


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds of each upload."""

    seconds: Sequence[float]

    @property
    def median(self) -> float:
        """Half of the uploads took no longer."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """Nineteen of twenty took no longer."""
        return statistics.quantiles(self.seconds, n=20)[-1]


async def wait_idle(trees: Sequence[Tree], around: Surroundings) -> Mapping[str, Waits]:
    """Run all trees side by side, each on topics of its own, and upload to them in turn."""
    async with AsyncExitStack() as stack:
        urls = {tree.label: await _running(stack, tree, around) for tree in trees}
        took: Mapping[str, list[float]] = {label: [] for label in urls}
        for number in range(WARM_UP + UPLOADS):
            for label, url in urls.items() if number % 2 else reversed(urls.items()):
                took[label].append(await _upload(around, url))
    return {label: Waits(seconds[WARM_UP:]) for label, seconds in took.items()}


async def _running(stack: AsyncExitStack, tree: Tree, around: Surroundings) -> str:
    """Run ingestion, a consumer and the ledger; return ingestion's URL."""
    names = TopicNames(f"idle-{secrets.token_hex(4)}")
    await ensure_topics(around.kafka, layout(names, [Target(PROVIDER).group_id(names.prefix)]))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    values = environment(around.kafka, names.prefix, around.sink, folder, [PROVIDER])
    running: Sequence[Process] = await stack.enter_async_context(started(tree, values, folder, commands_of([PROVIDER])))
    return running[0].url


async def _upload(around: Surroundings, url: str) -> float:
    began = time.perf_counter()
    async with around.session.post(f"{url}/audience?sync=true", data=make_form("VIP", USERS)) as response:
        await response.read()
        if response.status != 200:
            raise RuntimeError(f"the upload was answered {response.status}")
        return time.perf_counter() - began
