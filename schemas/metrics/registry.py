"""The metrics of one process: what is counted as it happens, and what is read when somebody scrapes."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample as ExposedSample

from schemas.metrics.definitions import METRICS, Metric

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


@dataclass(frozen=True, slots=True)
class Sample:
    """What a gauge, or a counter that is kept elsewhere, stands at."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


Source = Callable[[], Iterable[Sample]]
"""Returns how things stand, in the event loop; it takes no longer than a moment and asks nobody."""


class Counted:
    """A counter of what happens."""

    def __init__(self, metric: Metric) -> None:
        self.instrument = Counter(metric.name, metric.help, metric.labels, registry=None)
        self._child = cache(self.instrument.labels) if metric.labels else lambda *_: self.instrument

    def begin(self, *labels: str) -> None:
        """Have it told as 0 before anything happens, as nobody sees the increase of what was not there."""
        self._child(*labels)

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count."""
        self._child(*labels).inc(amount)


class Observed:
    """A histogram of how long things take."""

    def __init__(self, metric: Metric) -> None:
        self.instrument = Histogram(metric.name, metric.help, buckets=metric.buckets, registry=None)

    def observe(self, seconds: float) -> None:
        """Note how long one took."""
        self.instrument.observe(seconds)


class Metrics(Collector):
    """The metrics of one process, which are given to whoever counts: nothing is kept in the client's own registry.

    To be used in one event loop.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._instruments: list[Counter | Histogram] = []
        self._sources: list[Source] = []

    def counted(self, metric: Metric) -> Counted:
        """Return a counter of the list."""
        counted = Counted(metric)
        self._instruments.append(counted.instrument)
        return counted

    def observed(self, metric: Metric) -> Observed:
        """Return a histogram of the list."""
        observed = Observed(metric)
        self._instruments.append(observed.instrument)
        return observed

    @contextmanager
    def reading(self, source: Source) -> Iterator[None]:
        """Tell how things stand by a source while the block is entered."""
        self._sources.append(source)
        try:
            yield
        finally:
            self._sources.remove(source)

    def exposition(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)

    def describe(self) -> Iterable[Family]:
        """Name nothing beforehand, as the client asks when it takes up a collector."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Yield what was counted, without the client's own samples of when it began, and how things stand."""
        for instrument in self._instruments:
            for family in instrument.collect():
                family.samples = [sample for sample in family.samples if not _is_of_client(sample)]
                yield family
        samples = [sample for source in self._sources for sample in source()]
        for metric in METRICS:
            some = [sample for sample in samples if sample.metric is metric]
            if some:
                yield _family(metric, some)


def _is_of_client(sample: ExposedSample) -> bool:
    return sample.name.endswith("_created")


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        family.add_metric(sample.labels, sample.value)
    return family
