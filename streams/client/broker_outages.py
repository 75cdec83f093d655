"""Brokers that are away: one line when one goes, one when it is back, at most one a minute in between."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.processes.watched_threads import watched_thread

log = structlog.get_logger()

EVERY = 60.0
"""Seconds between two lines about the same."""

FIRST_LOOK, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between looks at what is away: the first pause, and the longest."""

LOOK_LIMIT = 2.0

ALL = "all"
NAMED_WITHIN = 2.0
"""Seconds in which a client that has lost all brokers names each."""

_BROKER = re.compile(r"(?:\w+: )?(?:\w+://)?(?P<host>\[[^\]]+\]|[^\s/:]+):(?P<port>\d+)(?:/(?P<id>\w+))?: ")
"""How librdkafka begins what it says of a broker, perhaps in its role of a group's coordinator.

The id is `bootstrap` before it knows one.
"""

_CONNECTION = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._TIMED_OUT})
"""What it says of a connection, also where it names no broker."""

Addresses = set[tuple[str, int]]
Config = Mapping[str, Any]


@dataclass(slots=True)
class Suspect:
    """A broker that a client has trouble with."""

    name: str
    address: tuple[str, int] | None
    """None for all brokers of the cluster."""
    is_listed: bool
    """Whether the cluster names it by this address while it is alive."""
    reason: str
    since: float
    logged_at: float | None = None
    problems: int = 0
    """Reported since the last line."""

    def is_back(self, listed: Addresses | None) -> bool:
        """Tell whether the broker can be worked with; `listed` are those that the cluster names, None if it is away."""
        if listed is None or self.address is None:
            return listed is not None
        return (not self.is_listed or self.address in listed) and _takes_connections(*self.address)


class Outages:
    """What the clients of a process report about a cluster, told once. Safe to use from any thread.

    Clients report many times that a broker is away, and also when it only closes an idle connection, and never
    that it is back. So a thread looks, for as long as one is in doubt: a line is written of what it finds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._suspects: dict[str, Suspect] = {}
        self._others: dict[str, tuple[float, int]] = {}
        self._looking: threading.Thread | None = None

    def note(self, error: KafkaError, config: Config) -> None:
        """Take down what a client reports; `config` is a client's, to look by."""
        found = suspect_of(error)
        if found is None:
            self._log_other(error.name())
            return
        with self._lock:
            if found.address is None and self._suspects:
                return  # one by one they say more
            if found.address is not None and (every := self._suspects.get(ALL)) and every.logged_at is None:
                del self._suspects[ALL]
            self._suspects.setdefault(found.name, found).problems += 1
            if self._looking is None:
                self._looking = watched_thread("kafka-outage", lambda: self._look(config), self._on_failure)
                self._looking.start()

    def _on_failure(self, error: BaseException) -> None:
        """Begin anew with the next that a client reports."""
        with self._lock:
            self._suspects.clear()
            self._looking = None
        log.error("Nobody looks at brokers that are away, until one is reported again.", why=type(error).__name__)

    def _log_other(self, name: str) -> None:
        """Tell a problem that is no broker's at once, and again once a minute at most."""
        now = time.monotonic()
        with self._lock:
            logged_at, count = self._others.get(name, (-EVERY, 0))
            is_due = now - logged_at >= EVERY
            self._others[name] = (now, 0) if is_due else (logged_at, count + 1)
        if is_due:
            more = {"left_out": count} if count else {}
            log.warning("Kafka reports a problem; the client goes on by itself.", error=name, **more)

    def _look(self, config: Config) -> None:
        ask, pause = _asking(config), FIRST_LOOK
        while True:
            listed = ask()
            with self._lock:
                suspects = list(self._suspects.values())
            for suspect in suspects:
                self._judge(suspect, is_back=suspect.is_back(listed))
            with self._lock:
                if not self._suspects:
                    self._looking = None
                    return
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)

    def _judge(self, suspect: Suspect, *, is_back: bool) -> None:
        now = time.monotonic()
        facts = {"broker": suspect.name, "outage_seconds": round(now - suspect.since, 1)}
        if is_back:
            with self._lock:
                self._suspects.pop(suspect.name, None)
            if suspect.logged_at is not None:
                log.info("A broker is back.", **facts)
        elif suspect.logged_at is None:
            if suspect.address is None and now - suspect.since < NAMED_WITHIN:
                return
            suspect.logged_at, suspect.problems = now, 0
            log.warning("A broker is away; the client goes on by itself.", error=suspect.reason, **facts)
        elif suspect.problems and now - suspect.logged_at >= EVERY:
            log.warning("A broker is still away.", error=suspect.reason, problems=suspect.problems, **facts)
            suspect.logged_at, suspect.problems = now, 0


def suspect_of(error: KafkaError) -> Suspect | None:
    """Return the broker that an error is about, None where it is about none."""
    now = time.monotonic()
    found = _BROKER.match(error.str())
    if found is None and error.code() in _CONNECTION:
        return Suspect(ALL, None, is_listed=False, reason=error.name(), since=now)
    if found is None:
        return None
    address = found["host"].strip("[]"), int(found["port"])
    is_listed = (found["id"] or "").isdecimal()
    return Suspect(f"{found['host']}:{found['port']}", address, is_listed=is_listed, reason=error.name(), since=now)


def _asking(config: Config) -> Callable[[], Addresses | None]:
    """Return a function that asks a cluster for its brokers: None where it does not answer."""
    admin = AdminClient({**config, "log_level": 0, "error_cb": lambda _: None})

    def ask() -> Addresses | None:
        try:
            brokers = admin.list_topics(timeout=LOOK_LIMIT).brokers.values()
        except KafkaException:
            return None
        return {(broker.host, broker.port) for broker in brokers}

    return ask


def _takes_connections(host: str, port: int) -> bool:
    with contextlib.suppress(OSError, UnicodeError), socket.create_connection((host, port), LOOK_LIMIT):
        return True
    return False
