"""The closed list of metrics: `audience metrics` renders it into docs/metrics.md, and nothing else is ever exposed."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from schemas.error_words import VOCABULARY
from schemas.records import TERMINAL, Mode, Verdict

Type = Literal["counter", "gauge", "histogram"]
Process = Literal["ingestion", "consumer", "ledger"]

INGESTION: tuple[Process, ...] = ("ingestion",)
CONSUMER: tuple[Process, ...] = ("consumer",)
LEDGER: tuple[Process, ...] = ("ledger",)
ALL: tuple[Process, ...] = get_args(Process)

ACCOUNT = ("provider", "account")
"""Labels of what is told of an account."""

OTHER = "other"
"""What stands for a word that is not of a list: labels never grow by what somebody sends."""

OK = "ok"
"""How a call ended that the platform took."""

STATES = ("running", "throttled", "blocked")
VERDICTS: tuple[str, ...] = (*get_args(Verdict), "quarantined")
MODES: tuple[str, ...] = get_args(Mode)
STATUSES = tuple(sorted(TERMINAL))

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "provider": "The platform, such as `facebook`.",
        "account": "The account as `AUDIENCE_PROVIDERS` names it, such as `facebook` or `facebook/eu`.",
        "route": f"The path of the API, such as `/audience/batches/{{batch_id}}`; `{OTHER}` for one that is none, or "
        "has no such method.",
        "status": "Of a request the HTTP status; of a record how it ended: "
        + ", ".join(f"`{s}`" for s in STATUSES)
        + ".",
        "state": ", ".join(f"`{state}`" for state in STATES) + ".",
        "mode": ", ".join(f"`{mode}`" for mode in MODES) + ".",
        "verdict": ", ".join(f"`{verdict}`" for verdict in VERDICTS) + ".",
        "error": "A word of the [list of errors](errors.md).",
        "reason": "A word of the [list of errors](errors.md).",
        "result": f"`{OK}`, or a word of the [list of errors](errors.md).",
    }
)
"""What each label may be: words of fixed lists, and what is configured."""

QUICK = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 50.0, 120.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A row of the list."""

    name: str
    type: Type
    unit: str
    help: str
    processes: tuple[Process, ...]
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds, of a histogram."""


def word_of(text: str | None) -> str:
    """Return a word of the vocabulary as a label's value."""
    return text if text is not None and text in VOCABULARY else OTHER


# Every process.
READY = Metric(
    name="audience_ready",
    type="gauge",
    unit="1 or 0",
    processes=ALL,
    help="Whether /readyz says that the process does its work.",
)
KAFKA_REACHABLE = Metric(
    name="audience_kafka_reachable",
    type="gauge",
    unit="1 or 0",
    processes=ALL,
    help="Whether Kafka can be reached and acknowledges what is written.",
)
KAFKA_ACKNOWLEDGEMENT = Metric(
    name="audience_kafka_acknowledgement_seconds",
    type="histogram",
    unit="seconds",
    processes=ALL,
    help="Time from a record's handing over to Kafka's client until all in-sync replicas had it.",
    buckets=QUICK,
)
KAFKA_QUEUED = Metric(
    name="audience_kafka_queued_bytes",
    type="gauge",
    unit="bytes",
    processes=ALL,
    help="Records that Kafka has not acknowledged yet, and room that is reserved for more.",
)

# Ingestion: what is sent to it.
REQUESTS = Metric(
    name="audience_requests_total",
    type="counter",
    unit="requests",
    processes=INGESTION,
    labels=("route", "status"),
    help="Requests that were answered, of those that are HTTP.",
)
UPLOADED_USERS = Metric(
    name="audience_uploaded_users_total",
    type="counter",
    unit="users",
    processes=INGESTION,
    labels=("mode",),
    help="Users of uploads that this process wrote to the log; one that was sent again counts once.",
)
UPLOADED_BYTES = Metric(
    name="audience_uploaded_bytes_total",
    type="counter",
    unit="bytes",
    processes=INGESTION,
    help="Bytes of bodies of uploads that came, also of those that were refused.",
)
BODY_BUDGET = Metric(
    name="audience_body_budget_bytes",
    type="gauge",
    unit="bytes",
    processes=INGESTION,
    help="What bodies and their records may take at once, AUDIENCE_BODY_BUDGET.",
)
BODY_BUDGET_USED = Metric(
    name="audience_body_budget_used_bytes",
    type="gauge",
    unit="bytes",
    processes=INGESTION,
    help="What bodies and their records take of that now.",
)
SYNC_WAIT = Metric(
    name="audience_sync_wait_seconds",
    type="histogram",
    unit="seconds",
    processes=INGESTION,
    help="Time for which answers to sync=true waited for the platforms.",
    buckets=SLOW,
)
VIEW_AGE = Metric(
    name="audience_view_age_seconds",
    type="gauge",
    unit="seconds",
    processes=INGESTION,
    help="How far status is behind: the age of the oldest receipt or completion that waits to be folded into the view, "
    "or since when that is away; 0 where nothing waits.",
)

# Ingestion: how accounts stand, which each of its processes knows, so that `max by (account)` is of all.
ACCOUNT_STATE = Metric(
    name="audience_account_state",
    type="gauge",
    unit="1 or 0",
    processes=INGESTION,
    labels=(*ACCOUNT, "state"),
    help="Whether an account is in this state.",
)
ACCOUNT_BLOCKED = Metric(
    name="audience_account_blocked",
    type="gauge",
    unit="1",
    processes=INGESTION,
    labels=(*ACCOUNT, "error"),
    help="Present with 1 while an account is blocked, with what it is blocked by.",
)
LOST_RECORDS = Metric(
    name="audience_lost_records_total",
    type="counter",
    unit="records",
    processes=INGESTION,
    labels=ACCOUNT,
    help="Records that left the log before the account had read them.",
)

# Consumers: what came of records.
RECORDS = Metric(
    name="audience_records_total",
    type="counter",
    unit="records",
    processes=CONSUMER,
    labels=(*ACCOUNT, "status"),
    help="Records of the log that are through.",
)
DELIVERED_USERS = Metric(
    name="audience_delivered_users_total",
    type="counter",
    unit="users",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Users of records that are through whom the platform took.",
)
REJECTED_USERS = Metric(
    name="audience_rejected_users_total",
    type="counter",
    unit="users",
    processes=CONSUMER,
    labels=(*ACCOUNT, "reason"),
    help="Users of records that are through who were rejected, by us or by the platform.",
)
FAILED_RECORDS = Metric(
    name="audience_failed_records_total",
    type="counter",
    unit="records",
    processes=CONSUMER,
    labels=(*ACCOUNT, "error"),
    help="Records that were given up, by why; there once one was. `audience_records_total` begins at 0.",
)
QUARANTINED_RECORDS = Metric(
    name="audience_quarantined_records_total",
    type="counter",
    unit="records",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Records that are left alone, as reading them ends a process.",
)
ATTEMPTS = Metric(
    name="audience_attempts_total",
    type="counter",
    unit="calls",
    processes=CONSUMER,
    labels=(*ACCOUNT, "result"),
    help="Tries to have rows taken in or out, each with the look-up of its audience, by how they ended.",
)
THROTTLE = Metric(
    name="audience_throttle_seconds_total",
    type="counter",
    unit="seconds",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Time for which the platform had calls held, counted when it says so; each process of the account has it all.",
)

# Consumers: what is yet to be done, each process of its own partitions, so that `sum by (account)` is of all.
LAG_RECORDS = Metric(
    name="audience_lag_records",
    type="gauge",
    unit="records",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Records of the log that are neither through nor stand on the retry topic, as of some two seconds ago.",
)
LAG_SECONDS = Metric(
    name="audience_lag_seconds",
    type="gauge",
    unit="seconds",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Age of the oldest of them that was taken over; 0 where there is none.",
)
ASSIGNED_PARTITIONS = Metric(
    name="audience_assigned_partitions",
    type="gauge",
    unit="partitions",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Partitions of the log that the process reads; of all processes of the account together all that there are.",
)
IN_FLIGHT_RECORDS = Metric(
    name="audience_in_flight_records",
    type="gauge",
    unit="records",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Records that were taken over from the log and are not through.",
)
IN_FLIGHT_BYTES = Metric(
    name="audience_in_flight_bytes",
    type="gauge",
    unit="bytes",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Bytes of these, of AUDIENCE_IN_FLIGHT_BYTES.",
)
RETRY_POINTERS = Metric(
    name="audience_retry_pointers",
    type="gauge",
    unit="records",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Records that are tried again later, as far as they were read from the retry topic: 20,000 at once.",
)
OLDEST_UNDELIVERED = Metric(
    name="audience_oldest_undelivered_seconds",
    type="gauge",
    unit="seconds",
    processes=CONSUMER,
    labels=ACCOUNT,
    help="Age of the oldest record that is not through: since it was written, of one that is tried again later "
    "since its first attempt; 0 where there is none.",
)

# The ledger.
RECEIPTS = Metric(
    name="audience_receipts_total",
    type="counter",
    unit="records",
    processes=LEDGER,
    labels=("verdict",),
    help="Records of the log for which a receipt was written.",
)
LEDGER_ASSIGNED_PARTITIONS = Metric(
    name="audience_ledger_assigned_partitions",
    type="gauge",
    unit="partitions",
    processes=LEDGER,
    help="Partitions of the log that the process reads; of all processes of the ledger together all that there are.",
)
LEDGER_LAG_RECORDS = Metric(
    name="audience_ledger_lag_records",
    type="gauge",
    unit="records",
    processes=LEDGER,
    help="Records of the log that have no receipt yet, as of some two seconds ago.",
)
LEDGER_LAG_SECONDS = Metric(
    name="audience_ledger_lag_seconds",
    type="gauge",
    unit="seconds",
    processes=LEDGER,
    help="Age of the oldest of them that was taken over; 0 where there is none.",
)

METRICS: tuple[Metric, ...] = (
    READY,
    KAFKA_REACHABLE,
    KAFKA_ACKNOWLEDGEMENT,
    KAFKA_QUEUED,
    REQUESTS,
    UPLOADED_USERS,
    UPLOADED_BYTES,
    BODY_BUDGET,
    BODY_BUDGET_USED,
    SYNC_WAIT,
    VIEW_AGE,
    ACCOUNT_STATE,
    ACCOUNT_BLOCKED,
    LOST_RECORDS,
    RECORDS,
    DELIVERED_USERS,
    REJECTED_USERS,
    FAILED_RECORDS,
    QUARANTINED_RECORDS,
    ATTEMPTS,
    THROTTLE,
    LAG_RECORDS,
    LAG_SECONDS,
    ASSIGNED_PARTITIONS,
    IN_FLIGHT_RECORDS,
    IN_FLIGHT_BYTES,
    RETRY_POINTERS,
    OLDEST_UNDELIVERED,
    RECEIPTS,
    LEDGER_ASSIGNED_PARTITIONS,
    LEDGER_LAG_RECORDS,
    LEDGER_LAG_SECONDS,
)
"""All there are, in the order of the page."""
