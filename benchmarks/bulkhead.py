"""What a platform in trouble takes from the others: their throughput and delay, beside those while it is well."""

import asyncio
import statistics
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.product import LIMIT, Ended, Product, Reports, make_form, product
from schemas.avro.framing import SINGLE_OBJECT
from schemas.records import Origin, Status
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end
from streams.tables.account_states import States, followed_states

ILL = "facebook"
OTHERS = ("tiktok", "klaviyo")
LATENCY = 0.05
SLOTS = {"facebook": 4, "tiktok": 4, "klaviyo": 16}
"""Few, so that it is the platforms that take the time, and not the processors that all processes share.

Klaviyo's imports are waited for, and take several times as long as a call.
"""

ROUNDS = 3
AUDIENCES = 12
UPLOADS = 8 * AUDIENCES
USERS = [{"email": f"person{number}@example.com"} for number in range(50)]

REFUSED = {"error": {"code": 2650, "message": "", "type": "OAuthException", "fbtrace_id": "made-up"}}


@dataclass(frozen=True, slots=True)
class State:
    """The fault that Facebook's calls meet, and how its records end meanwhile; None where they wait."""

    fault: Mapping[str, object]
    status: Status | None


STATES: Mapping[str, State] = {
    "healthy": State({}, "delivered"),
    "stalled": State({"fault": "stall", "operation": "upload"}, None),
    "refusing": State({"fault": "custom", "operation": "upload", "status": 400, "body": REFUSED}, "failed"),
    "parked": State({"fault": "auth"}, None),
}

Burst = Mapping[str, Sequence[Ended]]


@dataclass(slots=True)
class Seen:
    """What was seen of one provider in one state: seconds of each burst, and of each record."""

    bursts: list[float] = field(default_factory=list)
    records: list[float] = field(default_factory=list)

    def add(self, burst: Sequence[Ended], appended: Mapping[Origin, datetime]) -> None:
        """Add a burst: from its first record's place on the log to the last report, and the same of each record."""
        begun = min(appended[ended.completion.origin] for ended in burst)
        self.bursts.append((max(ended.at for ended in burst) - begun).total_seconds())
        self.records += [(ended.at - appended[ended.completion.origin]).total_seconds() for ended in burst]

    def figures(self) -> tuple[float, float]:
        """Return bursts per second, and the 99th percentile of a record's seconds."""
        return len(self.bursts) / sum(self.bursts), statistics.quantiles(self.records, n=100)[-1]


async def measure_bulkhead(kafka: KafkaSettings) -> None:
    """Upload bursts with Facebook in each state in turn, round by round, so that drift meets each."""
    bursts: defaultdict[str, list[Burst]] = defaultdict(list)
    async with _running(kafka) as trial:
        await trial.burst("healthy")  # the audiences are made
        for _ in range(ROUNDS):
            for state in STATES:
                bursts[state].append(await trial.burst(state))
        log = await read_to_end(kafka, trial.running.names.batches)
    appended = {record.origin: record.timestamp for record in log if record.timestamp}
    print(  # noqa: T201 -- the output
        f"bulkhead, {ROUNDS} bursts of {UPLOADS} uploads in each state of {ILL.title()}, beside its being healthy: "
        "throughput (higher is better), p99 from the log to the report (lower is better)"
    )
    print(f"  {'':10}{''.join(f'{provider:>18}' for provider in OTHERS)}")  # noqa: T201 -- the output
    for state in STATES:
        cells = [_cell(bursts[state], bursts["healthy"], provider, appended) for provider in OTHERS]
        print(f"  {state:10}{''.join(cells)}")  # noqa: T201 -- the output


def _cell(bursts: Sequence[Burst], healthy: Sequence[Burst], provider: str, appended: Mapping[Origin, datetime]) -> str:
    rate, slow = _figures(bursts, provider, appended)
    healthy_rate, healthy_slow = _figures(healthy, provider, appended)
    return f"{f'x{rate / healthy_rate:.2f}':>11}{f'x{slow / healthy_slow:.2f}':>7}"


def _figures(bursts: Sequence[Burst], provider: str, appended: Mapping[Origin, datetime]) -> tuple[float, float]:
    seen = Seen()
    for burst in bursts:
        seen.add(burst[provider], appended)
    return seen.figures()


@asynccontextmanager
async def _running(kafka: KafkaSettings) -> AsyncIterator["_Trial"]:
    settings = {f"{provider.upper()}_SLOTS": str(slots) for provider, slots in SLOTS.items()}
    async with product(kafka, [ILL, *OTHERS], AUDIENCE_SANDBOX_LATENCY=str(LATENCY), **settings) as running:
        url = await running.serve()
        await running.consume(ILL, *OTHERS)
        async with followed_states(kafka, running.names.accounts, SINGLE_OBJECT) as states:
            yield _Trial(running, url, states)


@dataclass(frozen=True, slots=True)
class _Trial:
    """The product, one burst after the other."""

    running: Product
    url: str
    states: States

    async def burst(self, name: str) -> Burst:
        """Return how each record of a burst ended at the others.

        1. Make Facebook's calls meet the state's fault, and wait until one has. 2. Upload, and wait for the others.
        3. Let Facebook be well again, and wait until it has caught up.
        """
        state, before = STATES[name], {provider: len(self._reports.of(provider)) for provider in (ILL, *OTHERS)}
        if state.fault:
            await self.running.inject(provider=ILL, until="cleared", **state.fault)
        await self._upload(0)
        await self._until(before, 1, OTHERS)
        if name == "parked":
            await self._until_parked()
        await asyncio.gather(*(self._upload(number) for number in range(UPLOADS)))
        await self._until(before, 1 + UPLOADS, OTHERS if state.status is None else (ILL, *OTHERS))
        self._check(state, before[ILL])
        await self.running.clear_faults()
        await self._until(before, 1 + UPLOADS, [ILL])
        return {provider: self._reports.of(provider)[before[provider] + 1 :] for provider in OTHERS}

    @property
    def _reports(self) -> Reports:
        return self.running.reports

    async def _upload(self, number: int) -> None:
        form = make_form(f"VIP {number % AUDIENCES}", USERS)
        async with self.running.session.post(f"{self.url}/audience", data=form) as response:
            response.raise_for_status()

    async def _until(self, before: Mapping[str, int], count: int, providers: Sequence[str]) -> None:
        await self._reports.until(
            lambda: all(len(self._reports.of(name)) >= before[name] + count for name in providers)
        )

    async def _until_parked(self) -> None:
        async with asyncio.timeout(LIMIT):
            while (said := self.states.of(Target(ILL))) is None or said.state != "blocked":
                await asyncio.sleep(0.02)

    def _check(self, state: State, before: int) -> None:
        found = {ended.completion.status for ended in self._reports.of(ILL)[before:]}
        if found != ({state.status} if state.status else set()):
            raise RuntimeError(f"{ILL} ended records as {', '.join(sorted(found))}, expected {state.status}")
