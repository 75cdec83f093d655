"""The settings that the parts of `audience up` get, and those that commands beside it go by."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cli.local_stack.own_hash_key import own_hash_key
from cli.settings.config import CommonSettings, Config, ConfigError, account
from cli.settings.environment import ENV_FILE, PROVIDERS, Environment
from consumer.account.settings import ConsumerSettings
from producer.settings import Address
from providers.installed import installed
from providers.kit.settings import is_credential, variables
from sandbox import CREDENTIALS
from schemas.hash_keys import VARIABLE
from schemas.target import Target
from streams.client.settings import is_kafka_variable

_OWN = frozenset({"AUDIENCE_DATA", "AUDIENCE_ENV_FILE", "AUDIENCE_HEALTH_LISTEN", "AUDIENCE_SHUTDOWN_TIMEOUT"})
"""What each process has for itself."""

SHARED = frozenset(
    {"AUDIENCE_LISTEN", "AUDIENCE_SANDBOX_LISTEN"}
    | {str(info.alias) for model in (CommonSettings, ConsumerSettings) for info in model.model_fields.values()} - _OWN
)
"""Settings that other commands go by as we do."""

SHARE_OF_PARTS = 0.7
"""Share of the time to end that each part is told to take: all end side by side, and Kafka after them."""


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
    if config.consumer.keys is None:
        ours[VARIABLE] = own_hash_key(environment.data)
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


def check_accounts(settings: Mapping[str, str], config: Config, targets: tuple[Target, ...]) -> None:
    """Find out now what a consumer would say at its start."""
    wrong = []
    for target in targets:
        try:
            account(target, Environment(settings, {}), config.common)
        except ConfigError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError("\n".join(wrong))


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
