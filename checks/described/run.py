"""A run: a server is started, asked for its description, sent what is made up of that, and watched."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from schemathesis.schemas import BaseSchema

from checks.chaos.processes import resident
from checks.described.cases import EXAMPLES, MadeUp, Sweep, bounded, load, sweeps
from checks.described.verdict import faults_of
from checks.hostile.run import FLAT, MIB, SAMPLES, SETTINGS, Place, Report, server
from checks.hostile.verdict import bugs_of_line
from cli.local_stack.supervisor import Supervisor
from cli.settings.config import SANDBOXED

AT_ONCE = 4
ANSWER_TIMEOUT = 20.0
"""Seconds after which an answer is missing: what waits, or is sync, is over long before."""

WITHOUT_TOKEN = 20
"""Of so many sweeps one sends no token."""

MADE_UP = settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""Faults are counted, not made smaller: the seed and the number of a sweep bring them back."""


async def run(place: Place, seed: int, cases: int, seconds: float, say: Callable[[str], None]) -> Report:
    """Send so many requests, within so many seconds, and judge the answers, the log and the memory."""
    report = Report()
    async with Supervisor() as supervisor, server(place, supervisor) as (part, address):
        assert part.process is not None  # noqa: S101 -- it was started
        pid = part.process.pid
        document = await asyncio.to_thread(_document, f"http://{address}")
        schema = load(document, [str(target) for target in SANDBOXED])
        flood = Flood(url=f"http://{address}", pid=pid, cases=cases, until=time.monotonic() + seconds, say=say)
        flood.report = report
        await asyncio.to_thread(flood.send_all, schema, seed)
        if part.process.pid != pid or part.process.poll() is not None:
            report.note("the server ended")
    for number, line in enumerate(place.log.read_bytes().split(b"\n"), 1):
        for fault in bugs_of_line(line):
            report.note(fault, f"line {number}")
    if report.sent < cases:
        report.note(f"only {report.sent} of {cases} requests were sent in {seconds:.0f} s")
    if report.growth > FLAT:
        report.note(f"the server's memory grew to {report.growth:.2f} times what it was")
    return report


def _document(url: str) -> dict[str, object]:
    """Return the description, which is open on this machine."""
    answer = requests.get(f"{url}/openapi.json", timeout=ANSWER_TIMEOUT)
    answer.raise_for_status()
    document: dict[str, object] = answer.json()
    return document


@dataclass(slots=True, kw_only=True)
class Flood:
    """Makes requests up, one after the other, and sends several at once until enough is sent, or the time is over.

    They are made up in one thread: Hypothesis parses lambdas' sources, and CPython 3.11's parser fails in several.
    """

    url: str
    pid: int
    cases: int
    until: float
    say: Callable[[str], None]
    report: Report = field(default_factory=Report)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _idle: "queue.Queue[requests.Session]" = field(default_factory=queue.Queue)
    """Connections that nobody uses; who makes a request up waits for one."""
    _batch_id: str | None = None
    """The last batch that was taken, for half of those requests to ask for that ask for one."""

    def send_all(self, schema: BaseSchema, seed: int) -> None:
        """Send all of it."""
        _ = schema.transport  # imported by several threads at once it may fail: Python 3.11 counts its compiler's depth
        with ExitStack() as stack:
            for _ in range(AT_ONCE):
                self._idle.put(stack.enter_context(requests.Session()))
            pool = stack.enter_context(ThreadPoolExecutor(AT_ONCE))
            for sweep in sweeps(schema, seed):
                if self._is_over:
                    return
                self._send_sweep(sweep, pool)

    @property
    def _is_over(self) -> bool:
        return self.report.sent >= self.cases or time.monotonic() > self.until

    def _send_sweep(self, sweep: Sweep, pool: ThreadPoolExecutor) -> None:
        token = (
            {} if sweep.seed % WITHOUT_TOKEN == 0 else {"Authorization": f"Bearer {SETTINGS['AUDIENCE_API_TOKENS']}"}
        )
        numbers = iter(range(EXAMPLES * 100))
        sent: list[Future[None]] = []

        @seeded(sweep.seed)
        @MADE_UP
        @given(sweep.operation.as_strategy(generation_mode=sweep.mode))
        def send(case: MadeUp) -> None:
            if not self._is_over:
                number = next(numbers)
                bounded(case, self._batch_id if number % 2 else None)
                session = self._idle.get()
                sent.append(pool.submit(self._send, case, session, token, f"request {number} of sweep {sweep.seed}"))

        send()
        for one in sent:
            one.result()

    def _send(self, case: MadeUp, session: requests.Session, headers: dict[str, str], where: str) -> None:
        try:
            response = case.call(base_url=self.url, session=session, headers=headers, timeout=ANSWER_TIMEOUT)
        except requests.RequestException as error:
            self._note("none", [f"{case.operation.label}: no answer ({type(error).__name__})"], where)
            return
        finally:
            self._idle.put(session)
        self._note(f"{case.operation.label} {response.status_code}", list(faults_of(case, response)), where)
        if response.status_code == 200 and "x-batch-id" in response.headers:
            self._batch_id = response.headers["x-batch-id"][0]

    def _note(self, answer: str, faults: list[str], where: str) -> None:
        """Count an answer; the memory is looked at now and then."""
        every = max(1, self.cases // SAMPLES)
        with self._lock:
            self.report.sent += 1
            self.report.answers[answer] += 1
            for fault in faults:
                self.report.note(fault, where)
            if self.report.sent % every == 0:
                self.report.memory.append(resident(self.pid))
                if self.report.sent % (every * 8) == 0:
                    self.say(f"{self.report.sent} requests; {self.report.memory[-1] / MIB:.0f} MiB")
