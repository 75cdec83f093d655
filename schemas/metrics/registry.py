"""The metrics of one process: what is counted as it happens, and what is read when somebody scrapes."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

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


@dataclass(frozen=True, slots=True)
class Counted:
    """A counter of what happens. Prometheus' own takes a lock and some ten times as long, which small records feel."""

    metric: Metric
    values: dict[tuple[str, ...], float] = field(default_factory=dict)

    def begin(self, *labels: str) -> None:
        """Have it told as 0 before anything happens, as nobody sees the increase of what was not there."""
        self.values.setdefault(labels, 0)

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count."""
        self.values[labels] = self.values.get(labels, 0) + amount

    def samples(self) -> Iterator[Sample]:
        """Yield what is counted."""
        return (Sample(self.metric, value, labels) for labels, value in self.values.items())


@dataclass(slots=True)
class Observed:
    """A histogram of how long things take."""

    metric: Metric
    total: float = 0.0
    counts: list[int] = field(init=False)
    """How many are in each bucket, the last one without a bound."""

    def __post_init__(self) -> None:
        """Begin with none."""
        self.counts = [0] * (len(self.metric.buckets) + 1)

    def observe(self, seconds: float) -> None:
        """Note how long one took."""
        self.counts[bisect_left(self.metric.buckets, seconds)] += 1
        self.total += seconds

    def family(self) -> Family:
        """Return what was observed as the client takes it: each bucket with those that are smaller."""
        bounds = map(floatToGoString, (*self.metric.buckets, float("inf")))
        buckets = list(zip(bounds, map(float, accumulate(self.counts)), strict=True))
        return HistogramMetricFamily(self.metric.name, self.metric.help, buckets=buckets, sum_value=self.total)


class Metrics(Collector):
    """The metrics of one process, which are given to whoever counts: nothing is kept in the client's own registry.

    To be used in one event loop.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._observed: list[Observed] = []
        self._sources: list[Source] = []

    def counted(self, metric: Metric) -> Counted:
        """Return a counter of the list."""
        counted = Counted(metric)
        self._sources.append(counted.samples)
        return counted

    def observed(self, metric: Metric) -> Observed:
        """Return a histogram of the list."""
        observed = Observed(metric)
        self._observed.append(observed)
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
        """Yield what was observed and counted, and how things stand."""
        yield from (observed.family() for observed in self._observed)
        samples = [sample for source in self._sources for sample in source()]
        for metric in METRICS:
            some = [sample for sample in samples if sample.metric is metric]
            if some:
                yield _family(metric, some)


def _family(metric: Metric, samples: Iterable[Sample]) -> Family:
    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for sample in samples:
        family.add_metric(sample.labels, sample.value)
    return family
