"""Everything that `audience up` runs: where it is, and what is started in which order."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from cli.local_stack.part_settings import check_accounts, part_settings, shared
from cli.local_stack.supervisor import Part, Supervisor
from cli.settings.config import SANDBOXED, Config, ConfigError, load, sandboxed_providers
from cli.settings.data_folder import only_one, usable_folder
from cli.settings.environment import LISTENS, Environment, write_state
from producer.settings import Address, parse_address
from schemas.target import Target
from streams.client.errors import PortTakenError
from streams.client.settings import KafkaSettings
from streams.cluster.topics import ensure_topics, layout
from streams.local.broker import LocalBroker
from streams.processes.port_locks import PortLocks
from streams.processes.ports import unusable

log = structlog.get_logger()

INGESTION = "ingestion"

ANY_PORT = Address(host="127.0.0.1", port=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs: where to find it."""

    kafka: KafkaSettings
    server: Address
    sandbox: Address | None
    targets: tuple[Target, ...]
    metrics: Mapping[str, Address]
    """Where each process of ours tells its metrics, by what it is and whose."""
    has_tokens: bool
    supervisor: Supervisor

    @property
    def url(self) -> str:
        """URL of the ingestion server."""
        return f"http://{self.server}"

    def curl(self) -> str:
        """Return a command that uploads two made-up people and waits for the platforms."""
        token = ' -H "Authorization: Bearer ${AUDIENCE_API_TOKENS%%,*}"' if self.has_tokens else ""
        batch = '{"sessionId":1,"sequence":1,"totalBatches":1,"totalUsers":2}'
        users = '[{"email":"ada@example.com","phone":"+14155550100"},{"email":"alan@example.com"}]'
        return (
            f"curl -sS{token} '{self.url}/audience?sync=true&detail=true' -F 'name=VIP customers' "
            f"-F 'batch={batch}' -F 'users={users}'"
        )


def chosen_address(environment: Environment, variable: str, wanted: Address, locks: PortLocks) -> Address:
    """Return where to listen: as asked, which must be free, or by default on the next port that is, which is told.

    It is ours from then on: no other `up` of this user takes it before our part listens there.

    Raises ConfigError, PortTakenError.
    """
    if reason := unusable(wanted.host, wanted.port):
        raise ConfigError(f"{variable}: nobody can listen there on this machine ({reason}); name an address of its own")
    if environment.origins.get(variable) in (None, "audience up"):
        chosen = Address(host=wanted.host, port=locks.pick(wanted.host, wanted.port))
        if chosen != wanted:
            log.warning(f"Port {wanted.port} is taken: listening on {chosen.port}.", setting=variable)
        return chosen
    if wanted.port and not locks.take(wanted.host, wanted.port):
        raise PortTakenError(f"{variable}: port {wanted.port} is taken; free it, or choose another one")
    return wanted


@asynccontextmanager
async def running(environment: Environment, logs: Path | None = None) -> AsyncIterator[Running]:
    """Run everything while the block is entered. Raises ConfigError, StreamError, PartFailedError."""
    config = load(environment)
    targets = config.common.providers or SANDBOXED
    with only_one("up", usable_folder(environment.data)), PortLocks() as locks:
        async with Supervisor(config.consumer.shutdown_timeout) as supervisor:
            started = _Started(supervisor, environment, config, targets, logs, locks)
            found, settings, sandboxed = await started.all()
            state = write_state(environment.data, shared(settings, targets), sandboxed)
            try:
                yield found
            finally:
                state.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Started:
    """What is started, in its order."""

    supervisor: Supervisor
    environment: Environment
    config: Config
    targets: tuple[Target, ...]
    logs: Path | None
    locks: PortLocks

    async def all(self) -> tuple[Running, dict[str, str], list[str]]:
        """Start all; return where it is, the settings of the parts, and the platforms that the sandbox plays.

        1. Look at all settings. 2. Kafka and its topics. 3. The sandbox, whose address the others must know.
        4. Consumers, ledger and ingestion, at once.
        """
        server = self._chosen("AUDIENCE_LISTEN", self.config.server.listen)
        wanted = self._chosen("AUDIENCE_SANDBOX_LISTEN", self.config.sandbox.listen)
        sandboxed = sandboxed_providers(self.environment)
        settings = part_settings(self.environment, self.config, self.targets, sandboxed, wanted)
        check_accounts(settings, self.config, self.targets)
        kafka = await self._kafka()
        wanted = self._chosen("AUDIENCE_SANDBOX_LISTEN", wanted)  # another program may have taken it meanwhile
        sandbox = await self._sandbox(settings, wanted) if sandboxed else None
        settings = part_settings(self.environment, self.config, self.targets, sandboxed, sandbox or wanted)
        settings["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
        server = self._chosen("AUDIENCE_LISTEN", server)  # and this
        metrics = await self._others(settings, server)
        server = metrics[INGESTION]
        settings["AUDIENCE_LISTEN"] = str(server)
        has_tokens = bool(self.config.server.tokens)
        found = Running(
            kafka=kafka,
            server=server,
            sandbox=sandbox,
            targets=self.targets,
            metrics=metrics,
            has_tokens=has_tokens,
            supervisor=self.supervisor,
        )
        return found, settings, sandboxed

    def _chosen(self, variable: str, wanted: Address) -> Address:
        return chosen_address(self.environment, variable, wanted, self.locks)

    async def _kafka(self) -> KafkaSettings:
        kafka = await _kafka(self.supervisor, self.environment, self.config)
        groups = [target.group_id(self.config.common.prefix) for target in self.targets]
        specs, is_weaker_allowed = layout(self.config.names, groups), self.config.common.allow_weaker_topics
        await ensure_topics(kafka, specs, allow_weaker=is_weaker_allowed)
        return kafka

    async def _sandbox(self, settings: Mapping[str, str], wanted: Address) -> Address:
        part = make_part("sandbox", ["sandbox"], settings, wanted, "/healthz", self.logs)
        await self.supervisor.start(part)
        return listening(part)

    async def _others(self, settings: Mapping[str, str], wanted: Address) -> dict[str, Address]:
        """Start consumers, ledger and ingestion; return where each of them listens."""
        parts = [
            _consumer(f"consumer {target}", ["--provider", str(target)], settings, self.logs) for target in self.targets
        ]
        ledger = _consumer("ledger", ["--ledger"], settings, self.logs)
        ingestion = make_part(INGESTION, ["serve"], settings, wanted, "/readyz", self.logs)
        started = [ingestion, *parts, ledger]
        await self.supervisor.start(*started)
        return {part.name: listening(part) for part in started}


async def _kafka(supervisor: Supervisor, environment: Environment, config: Config) -> KafkaSettings:
    if environment.origins.get("KAFKA_BOOTSTRAP_SERVERS") not in (None, "audience up"):
        return config.kafka
    broker = LocalBroker(data=environment.data / "kafka", report=_report)
    await supervisor.start_broker(broker)
    return KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


def _report(text: str) -> None:
    log.info(text, part="kafka")


def _consumer(name: str, what: list[str], settings: Mapping[str, str], logs: Path | None) -> Part:
    return make_part(name, ["consume", *what], settings, ANY_PORT, "/readyz", logs)


def make_part(
    name: str, arguments: list[str], settings: Mapping[str, str], at: Address, path: str, logs: Path | None
) -> Part:
    """Return a process of ours that listens at an address and says at this path whether it is ready."""
    environment = {**settings, LISTENS[arguments[0]]: str(at)}
    return Part(name=name, arguments=arguments, environment=environment, ready_path=path, output=logs)


def listening(part: Part) -> Address:
    """Return where a part that is ready listens."""
    return Address.model_validate(parse_address(part.address))
