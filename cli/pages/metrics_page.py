"""`audience metrics`: the list of metrics as a page."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator

from cli.command import Command
from cli.settings.environment import Environment
from schemas.metrics.definitions import ALL, CONSUMER, INGESTION, LABELS, LEDGER, METRICS, Metric

HEAD = """# Metrics

What `GET /metrics` tells Prometheus, and nothing else. `audience metrics` prints this page. The endpoint has it at its
own address, with a token where `AUDIENCE_API_TOKENS` is set; consumers and the ledger have it where
`AUDIENCE_HEALTH_LISTEN` says. [Running it](running.md#metrics) says how to scrape them, [the runbook](runbook.md) what
to do about an alert.

No metric holds the name of an audience, a session, a user's value or a secret: labels are words of fixed lists, and the
accounts that are configured.
"""

SECTIONS = (
    ("Every process", ALL),
    ("Ingestion", INGESTION),
    ("Consumers", CONSUMER),
    ("The ledger", LEDGER),
)


def metrics_page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD.rstrip("\n")]
    for title, processes in SECTIONS:
        lines += ["", f"## {title}", "", "| metric | type | unit | labels | meaning |", "|---|---|---|---|---|"]
        lines += [_row(metric) for metric in METRICS if metric.processes == processes]
    lines += ["", "## Labels", "", "| label | values |", "|---|---|"]
    lines += [f"| `{label}` | {values} |" for label, values in LABELS.items()]
    lines += ["", "## Buckets", *_buckets(METRICS)]
    return "\n".join(lines) + "\n"


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.type} | {metric.unit} | {labels} | {metric.help} |"


def _buckets(metrics: Iterable[Metric]) -> Iterator[str]:
    for metric in metrics:
        if metric.buckets:
            yield ""
            yield f"`{metric.name}` counts up to {', '.join(f'{bound:g}' for bound in metric.buckets)} seconds."


async def print_metrics(options: Namespace, environment: Environment) -> None:
    """Print the page."""
    del options, environment
    sys.stdout.write(metrics_page())


COMMAND = Command(
    name="metrics",
    text=(
        "Print what every metric means. A page in Markdown: what the endpoint, consumers and the ledger tell "
        "Prometheus, with types, units and labels. It is docs/metrics.md."
    ),
    run=print_metrics,
)
