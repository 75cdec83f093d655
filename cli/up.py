"""`audience up`: the whole product on one machine."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.config import SANDBOXED, Config, ConfigError, account, load
from cli.environment import ENV_FILE, PROVIDERS, Environment, write_state
from cli.running_ups import noted
from cli.supervisor import Part, Supervisor
from producer.settings import Address
from providers.table import installed
from sandbox import CREDENTIALS
from schemas.target import Target
from streams.broker import LocalBroker
from streams.errors import PortTakenError
from streams.ports import free_port, is_free, pick_port
from streams.settings import KafkaSettings
from streams.topics import ensure_topics, layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs: where to find it."""

    kafka: KafkaSettings
    server: Address
    sandbox: Address | None
    targets: tuple[Target, ...]
    has_tokens: bool

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
    """Return where to listen: as asked, which must be free, or by default wherever it is.

    Raises PortTakenError.
    """
    if environment.origins.get(variable) in (None, "audience up"):
        return Address(host=wanted.host, port=pick_port(wanted.host, wanted.port))
    if wanted.port and not is_free(wanted.host, wanted.port):
        raise PortTakenError(f"{variable}: port {wanted.port} is taken; free it, or choose another one")
    return wanted


@asynccontextmanager
async def running(environment: Environment, logs: Path | None = None) -> AsyncIterator[Running]:
    """Run everything while the block is entered. Raises ConfigError, StreamError, PartFailedError."""
    config = load(environment)
    targets = config.common.providers or SANDBOXED
    server = chosen_address(environment, "AUDIENCE_LISTEN", config.server.listen)
    async with Supervisor() as supervisor:
        sandboxed = sandboxed_providers(environment)
        sandbox = chosen_address(environment, "AUDIENCE_SANDBOX_LISTEN", config.sandbox.listen)
        settings = part_settings(environment, config, targets, sandboxed, sandbox)
        _check_accounts(settings, config, targets)
        kafka = await _kafka(supervisor, environment, config)
        settings |= {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "AUDIENCE_LISTEN": str(server)}
        groups = [target.group_id(config.common.prefix) for target in targets]
        await ensure_topics(kafka, layout(config.names, groups), allow_weaker=config.common.allow_weaker_topics)
        if sandboxed:
            await supervisor.start(make_part("sandbox", ["sandbox"], settings, sandbox, "/healthz", logs))
        consumers = [_consumer(str(target), ["--provider", str(target)], settings, logs) for target in targets]
        consumers.append(_consumer("ledger", ["--ledger"], settings, logs))
        serve = make_part("serve", ["serve"], settings, server, "/readyz", logs)
        await supervisor.start(*consumers, serve)
        state = write_state(environment.data, _public(settings), sandboxed)
        try:
            yield Running(
                kafka=kafka,
                server=server,
                sandbox=sandbox if sandboxed else None,
                targets=targets,
                has_tokens=bool(config.server.tokens),
            )
        finally:
            state.unlink(missing_ok=True)


def sandboxed_providers(environment: Environment) -> list[str]:
    """Return the platforms that the sandbox plays: none where accounts are configured, or a base URL is."""
    if PROVIDERS in environment.values:
        return []
    mine = {name for name, origin in environment.origins.items() if origin != "audience up"}
    return [provider for provider in CREDENTIALS if f"{provider.upper()}_BASE_URL" not in mine]


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
    os.write(2, f"{text}\n".encode())


def _consumer(name: str, what: list[str], settings: Mapping[str, str], logs: Path | None) -> Part:
    health = Address(host="127.0.0.1", port=free_port())
    mine = {**settings, "AUDIENCE_HEALTH_LISTEN": str(health)}
    return make_part(f"consume {name}", ["consume", *what], mine, health, "/readyz", logs)


def make_part(
    name: str, arguments: list[str], settings: Mapping[str, str], at: Address, path: str, logs: Path | None
) -> Part:
    """Return a process of ours that says at this path of its address whether it is ready."""
    return Part(
        name=name,
        arguments=arguments,
        environment=dict(settings),
        ready_url=f"http://{at}{path}",
        output=logs,
    )


def _public(settings: Mapping[str, str]) -> dict[str, str]:
    """Return what other commands need to find us, without secrets."""
    names = [
        "KAFKA_BOOTSTRAP_SERVERS",
        "AUDIENCE_LISTEN",
        PROVIDERS,
        "AUDIENCE_SANDBOX_LISTEN",
        "AUDIENCE_TOPIC_PREFIX",
    ]
    urls = [name for name in settings if name.endswith("_BASE_URL")]
    return {name: settings[name] for name in [*names, *urls] if name in settings}


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
    await asyncio.Event().wait()
