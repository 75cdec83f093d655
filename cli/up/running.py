"""`audience up`: the whole product on one machine."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from cli.settings.config import SANDBOXED, CommonSettings, Config, ConfigError, account, load, sandboxed_providers
from cli.settings.data_folder import only_one, usable_folder
from cli.settings.environment import ENV_FILE, PROVIDERS, Environment, write_state
from cli.settings.running_ups import noted
from cli.up.supervisor import LISTENS, Part, Supervisor
from consumer.account.settings import ConsumerSettings
from producer.settings import Address, parse_address
from providers.installed import installed
from providers.kit.settings import is_credential, variables
from sandbox import CREDENTIALS
from schemas.target import Target
from streams.client.errors import PortTakenError
from streams.client.settings import KafkaSettings, is_kafka_variable
from streams.cluster.topics import ensure_topics, layout
from streams.local.broker import LocalBroker
from streams.processes.ports import is_free, pick_port, unusable

log = structlog.get_logger()

ANY_PORT = Address(host="127.0.0.1", port=0)

_OWN = frozenset({"AUDIENCE_DATA", "AUDIENCE_ENV_FILE", "AUDIENCE_HEALTH_LISTEN", "AUDIENCE_SHUTDOWN_TIMEOUT"})
"""What each process has for itself."""

SHARED = frozenset(
    {"AUDIENCE_LISTEN", "AUDIENCE_SANDBOX_LISTEN"}
    | {str(info.alias) for model in (CommonSettings, ConsumerSettings) for info in model.model_fields.values()} - _OWN
)
"""Settings that other commands go by as we do."""

SHARE_OF_PARTS = 0.7
"""Share of the time to end that each part is told to take: all end side by side, and Kafka after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs: where to find it."""

    kafka: KafkaSettings
    server: Address
    sandbox: Address | None
    targets: tuple[Target, ...]
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


def chosen_address(environment: Environment, variable: str, wanted: Address) -> Address:
    """Return where to listen: as asked, which must be free, or by default on the next port that is, which is told.

    Raises ConfigError, PortTakenError.
    """
    if reason := unusable(wanted.host, wanted.port):
        raise ConfigError(f"{variable}: nobody can listen there on this machine ({reason}); name an address of its own")
    if environment.origins.get(variable) in (None, "audience up"):
        chosen = Address(host=wanted.host, port=pick_port(wanted.host, wanted.port))
        if chosen != wanted:
            log.warning(f"Port {wanted.port} is taken: listening on {chosen.port}.", setting=variable)
        return chosen
    if wanted.port and not is_free(wanted.host, wanted.port):
        raise PortTakenError(f"{variable}: port {wanted.port} is taken; free it, or choose another one")
    return wanted


@asynccontextmanager
async def running(environment: Environment, logs: Path | None = None) -> AsyncIterator[Running]:
    """Run everything while the block is entered. Raises ConfigError, StreamError, PartFailedError."""
    config = load(environment)
    targets = config.common.providers or SANDBOXED
    with only_one("up", usable_folder(environment.data)):
        async with Supervisor(config.consumer.shutdown_timeout) as supervisor:
            started = _Started(supervisor, environment, config, targets, logs)
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

    async def all(self) -> tuple[Running, dict[str, str], list[str]]:
        """Start all; return where it is, the settings of the parts, and the platforms that the sandbox plays.

        1. Look at all settings. 2. Kafka and its topics. 3. The sandbox, whose address the others must know.
        4. Consumers, ledger and ingestion, at once.
        """
        server = chosen_address(self.environment, "AUDIENCE_LISTEN", self.config.server.listen)
        wanted = chosen_address(self.environment, "AUDIENCE_SANDBOX_LISTEN", self.config.sandbox.listen)
        sandboxed = sandboxed_providers(self.environment)
        settings = part_settings(self.environment, self.config, self.targets, sandboxed, wanted)
        _check_accounts(settings, self.config, self.targets)
        kafka = await self._kafka()
        sandbox = await self._sandbox(settings, wanted) if sandboxed else None
        settings = part_settings(self.environment, self.config, self.targets, sandboxed, sandbox or wanted)
        settings["KAFKA_BOOTSTRAP_SERVERS"] = kafka.bootstrap_servers
        server = await self._others(settings, server)
        settings["AUDIENCE_LISTEN"] = str(server)
        has_tokens = bool(self.config.server.tokens)
        found = Running(
            kafka=kafka,
            server=server,
            sandbox=sandbox,
            targets=self.targets,
            has_tokens=has_tokens,
            supervisor=self.supervisor,
        )
        return found, settings, sandboxed

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

    async def _others(self, settings: Mapping[str, str], wanted: Address) -> Address:
        """Start consumers, ledger and ingestion; return where the last one listens."""
        parts = [
            _consumer(f"consumer {target}", ["--provider", str(target)], settings, self.logs) for target in self.targets
        ]
        ledger = _consumer("ledger", ["--ledger"], settings, self.logs)
        ingestion = make_part("ingestion", ["serve"], settings, wanted, "/readyz", self.logs)
        await self.supervisor.start(*parts, ledger, ingestion)
        return listening(ingestion)


def part_settings(
    environment: Environment,
    config: Config,
    targets: tuple[Target, ...],
    sandboxed: list[str],
    sandbox: Address,
) -> dict[str, str]:
    """Return the environment of all parts. What the sandbox plays never meets real credentials."""
    prefixes = tuple(f"{provider.upper()}_" for provider in sandboxed)
    kept = {name: value for name, value in environment.values.items() if not _is_account(name, prefixes)}
    made_up: dict[str, str] = {}
    for provider in sandboxed:
        made_up |= CREDENTIALS[provider]
        made_up[f"{provider.upper()}_BASE_URL"] = f"http://{sandbox}/{provider}"
    if PROVIDERS not in environment.values:
        for provider in set(CREDENTIALS) - set(sandboxed) - set(_real(environment)):
            made_up |= {name: value for name, value in CREDENTIALS[provider].items() if name not in kept}
    ours = {
        PROVIDERS: ",".join(map(str, targets)),
        ENV_FILE: "",
        "AUDIENCE_DATA": str(environment.data),
        "AUDIENCE_SHUTDOWN_TIMEOUT": f"{SHARE_OF_PARTS * config.consumer.shutdown_timeout:g}",
        "AUDIENCE_SANDBOX_LISTEN": str(sandbox),
        "AUDIENCE_TOPIC_PREFIX": config.common.prefix,
    }
    return {**kept, **made_up, **ours}


def _real(environment: Environment) -> list[str]:
    """Return the platforms whose base URL is the platform itself: nobody is sent there on made-up credentials."""
    fields = {provider: installed()[provider].settings_type.model_fields["base_url"] for provider in CREDENTIALS}
    urls = {provider: environment.values.get(f"{provider.upper()}_BASE_URL", "") for provider in fields}
    return [provider for provider, field in fields.items() if urls[provider].rstrip("/") == field.default]


def _is_account(name: str, prefixes: tuple[str, ...]) -> bool:
    """Tell whether a variable says who an account is; its pace, slots and the like also hold for the sandbox."""
    tuning = ("_PACE", "_SLOTS", "_TIMEOUT", "_DEFAULT_REGION")
    return name.startswith(prefixes) and not name.endswith(tuning)


def _check_accounts(settings: Mapping[str, str], config: Config, targets: tuple[Target, ...]) -> None:
    """Find out now what a consumer would say at its start."""
    wrong = []
    for target in targets:
        try:
            account(target, Environment(settings, {}), config.common)
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))


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


def shared(settings: Mapping[str, str], targets: Sequence[Target]) -> dict[str, str]:
    """Return what other commands go by beside us, which may hold secrets of Kafka and of a registry.

    Where we are and where records stand, how they are read, and what decides about deliveries; no account's
    credentials and no token, as a command without them says so. Files are named by their whole paths.
    """
    ours = {*SHARED, *_tuning(targets), *(name for name in settings if is_kafka_variable(name))}
    return {name: _placed(name, settings[name]) for name in sorted(ours) if name in settings}


def _tuning(targets: Sequence[Target]) -> Iterator[str]:
    """Yield the variables of accounts that say how they are served and not who they are."""
    for target in targets:
        kind = installed()[target.provider].settings_type
        for field, names in variables(kind, target).items():
            if not is_credential(kind, field):
                yield from names


def _placed(name: str, value: str) -> str:
    is_file = name.startswith("KAFKA_") and Path(value).is_file()
    return str(Path(value).absolute()) if is_file else value


async def up(environment: Environment) -> None:
    """Run everything until cancelled; say on standard output where it is."""
    async with running(environment) as found:
        with noted(environment.data, os.environ):
            await _say(found)


async def _say(found: Running) -> None:
    """Say where everything is, and stay."""
    lines = [f"kafka {found.kafka.bootstrap_servers}"]
    lines += [f"sandbox http://{found.sandbox}"] if found.sandbox else []
    lines += [found.curl(), f"ready {found.url}"]
    for line in lines:
        print(line, flush=True)  # noqa: T201 -- this is the command's output
    await found.supervisor.failure()
