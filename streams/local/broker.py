"""A real Apache Kafka of our own: a KRaft process, started and ended as a child."""

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.client.errors import BrokerFailedError, PortTakenError
from streams.local.jars import Report, class_path, find_java, java_environ
from streams.processes.file_locks import lock_file
from streams.processes.lifeline import Lifeline
from streams.processes.ports import free_port, is_free, pick_port

HOST = "127.0.0.1"
DEFAULT_PORT = 9092
START_LIMIT = 90.0
STOP_LIMIT = 20.0
GUARD_LIMIT = 2.0
"""Seconds for the guard of a Kafka that was killed to end, too."""


FULL = 1024 * 1024
"""Bytes of free space below which a disk is full for Kafka."""

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={log}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
offsets.retention.minutes=86400
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""

_LOGGING = """\
status=error
appender.file.type=File
appender.file.name=file
appender.file.fileName={file}
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %c: %m%n
rootLogger.level=warn
rootLogger.appenderRef.file.ref=file
"""


def new_cluster_id() -> str:
    """Return an id of the kind that Kafka wants."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work on a thread even when cancelled, as what it starts must be known to be ended."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


@dataclass(slots=True, kw_only=True)
class LocalBroker:
    """One Kafka with its data under `data`; a port that is not given is 9092 or the next free one, 0 is any.

    The process runs in a session of its own under a guard, so that Ctrl-C does not reach it, and ends when this
    process does, however that ends.
    """

    data: Path
    port: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    """Kafka's own, over those of a lone node."""
    cluster: str = field(default_factory=new_cluster_id)
    """Id that all nodes of a cluster share; counts when the data folder is new."""
    report: Report = print
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _lifeline: Lifeline | None = field(default=None, init=False)

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect."""
        return f"{HOST}:{self.port}"

    @property
    def guard(self) -> int | None:
        """Process id of the guard, whose only child Kafka is; None where it is not running."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> Path:
        """Kafka's own log; that of the run before is kept beside it."""
        return self.data / "broker.log"

    async def __aenter__(self) -> "LocalBroker":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Prepare the data folder, start Kafka and return when it answers; may be called again after a failure.

        Raises BrokerFailedError, PortTakenError.
        """
        self._settle_port()
        try:
            await _to_its_end(asyncio.to_thread(self._launch))
            async with asyncio.timeout(START_LIMIT):
                await self._answers()
        except TimeoutError:
            await self.stop()
            raise BrokerFailedError(self._why(f"Kafka did not answer within {START_LIMIT:.0f} s")) from None
        except OSError as error:
            await self.stop()
            raise BrokerFailedError(self._why(f"Kafka could not be started: {_describe(error)}")) from error
        except BaseException:
            await self.stop()
            raise

    def _settle_port(self) -> None:
        """Choose a port, which stays from then on, as clients know it."""
        if self.port is None:
            self.port = pick_port(HOST, DEFAULT_PORT)
            if self.port != DEFAULT_PORT:
                self.report(f"Port {DEFAULT_PORT} is taken: Kafka listens on {self.port}.")
        elif not self.port:
            self.port = free_port(HOST)
        elif not is_free(HOST, self.port):
            raise PortTakenError(f"Port {self.port} for Kafka is taken: free it, or choose another one.")

    async def wait(self) -> int:
        """Return Kafka's exit code when it has ended."""
        assert self._process is not None  # noqa: S101 -- only called on a started broker
        while (code := self._process.poll()) is None:
            await asyncio.sleep(0.2)
        return code

    @property
    def pid(self) -> int:
        """Process id of Kafka itself, the guard's child; Linux only. Raises ProcessLookupError where it is gone."""
        guard = self._process.pid if self._process else 0
        try:
            children = Path(f"/proc/{guard}/task/{guard}/children").read_text(encoding="ascii").split()
            return int(children[0])
        except (OSError, IndexError):
            raise ProcessLookupError("Kafka is not running.") from None

    async def kill(self, limit: float = STOP_LIMIT) -> None:
        """End Kafka by SIGKILL and return when it is gone; Linux only. Raises ProcessLookupError where it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        await self.stop(limit)

    async def stop(self, limit: float = STOP_LIMIT) -> None:
        """End Kafka and wait until it is gone, by force where it takes too long. Does nothing where it is not running.

        Killed it loses nothing that it acknowledged, and takes longer to start.
        """
        if self._process is not None:
            if self._process.poll() is None:
                self._process.terminate()
            if not await self._has_ended(limit):
                self._kill()
            if not await self._has_ended(GUARD_LIMIT):
                self._process.kill()
                await self.wait()
            self._process = None
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None

    async def _has_ended(self, limit: float) -> bool:
        """Return whether Kafka and its guard end within some seconds."""
        try:
            async with asyncio.timeout(limit):
                await self.wait()
        except TimeoutError:
            return False
        return True

    def _kill(self) -> None:
        """Kill Kafka, upon which its guard ends; where its process id is not to be had, kill the guard."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            if self._process is not None:
                self._process.kill()

    def _launch(self) -> None:
        java, path = find_java(self.environ), class_path(self.environ, self.report)
        self.data.mkdir(parents=True, exist_ok=True)
        with self._locked() as lock:
            self._launch_alone(java, path, lock)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[list[int]]:
        """Lock the data folder while the block is entered, and as long as who inherits the descriptor runs.

        Kafka locks it, too, but only after it has read the log of its metadata, which another may be writing. Where
        there can be no lock, there is only that. Raises BrokerFailedError.
        """
        held: list[int] = []
        try:
            held.append(lock_file(self.data / "in-use.lock"))
        except BlockingIOError:
            raise BrokerFailedError(self._in_use("Kafka could not be started")) from None
        except OSError:
            pass
        try:
            yield held
        finally:
            for lock in held:
                os.close(lock)

    def _launch_alone(self, java: str, path: str, lock: list[int]) -> None:
        properties = self._configure()
        if self.log.exists():
            self.log.replace(self.log.with_name("broker-before.log"))
        self._format(java, path, properties)
        self._lifeline = Lifeline()
        options = ["-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        logging = f"-Dlog4j2.configurationFile={self.data / 'log4j2.properties'}"
        kafka = [java, *options, logging, "-cp", path, "kafka.Kafka", str(properties)]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- our own command line
                [sys.executable, "-m", "streams.processes.parent_guard", *kafka],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=[self._lifeline.fd, *lock],
                env=java_environ(self.environ) | self._lifeline.environ(),
            )

    def _configure(self) -> Path:
        properties = self.data / "server.properties"
        values = {"host": HOST, "port": self.port, "controller": free_port(HOST), "log": self.data / "log"}
        ours = "".join(f"{name}={value}\n" for name, value in self.properties.items())  # of two, the last one counts
        properties.write_text(_PROPERTIES.format(**values) + ours, encoding="utf-8")
        logging = _LOGGING.format(file=self.log)
        (self.data / "log4j2.properties").write_text(logging, encoding="utf-8")
        return properties

    def _format(self, java: str, path: str, properties: Path) -> None:
        if (self.data / "log" / "meta.properties").exists():
            return
        tool = [java, "-cp", path, "kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster}"]
        tool += ["-c", str(properties)]
        ran = subprocess.run(tool, capture_output=True, check=False, env=java_environ(self.environ))  # noqa: S603
        if ran.returncode:
            with contextlib.suppress(OSError):  # on a full disk the error says enough
                self.log.write_bytes(ran.stdout + ran.stderr)
            raise BrokerFailedError(self._why("Kafka's data folder could not be prepared"))

    async def _answers(self) -> None:
        assert self._process is not None  # noqa: S101 -- set by _launch
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        while True:
            if self._process.poll() is not None:
                raise BrokerFailedError(self._why("Kafka ended while it started"))
            with contextlib.suppress(KafkaException):
                found = await asyncio.to_thread(admin.list_topics, timeout=1)
                if found.cluster_id == self._cluster_id():
                    return
            await asyncio.sleep(0.1)

    def _cluster_id(self) -> str:
        """Return our cluster's id: another Kafka that took the port in the same moment may answer in our place."""
        text = (self.data / "log" / "meta.properties").read_text(encoding="utf-8")
        return next((line.partition("=")[2] for line in text.splitlines() if line.startswith("cluster.id=")), "")

    def _why(self, what: str) -> str:
        if self._is_disk_full():
            return (
                f"{what}: no space is left on the disk of {self.data}. Free some, or set AUDIENCE_DATA to another one."
            )
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        if "Failed to acquire lock" in text:
            return self._in_use(what)
        last = "\n".join(text.splitlines()[-5:])
        return f"{what}. The end of {self.log}:\n{last}" if last else f"{what}."

    def _in_use(self, what: str) -> str:
        return f"{what}: another Kafka uses {self.data}. End it, or set AUDIENCE_DATA to another folder."

    def _is_disk_full(self) -> bool:
        try:
            return shutil.disk_usage(self.data).free < FULL
        except OSError:
            return False


def _describe(error: OSError) -> str:
    """Return an error of the system as a person reads it, with the file that it is about."""
    about = f"{error.filename}: " if error.filename else ""
    return f"{about}{error.strerror or type(error).__name__}"
