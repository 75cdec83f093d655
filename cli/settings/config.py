"""All settings, typed; what is wrong with them is told at once, by variable and without values."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from cli.errors import CommandError
from cli.settings.environment import PROVIDERS, Environment
from consumer.account.account import Account
from consumer.account.settings import ConsumerSettings
from producer.settings import Address, ServerSettings, parse_address
from providers.installed import installed
from providers.kit.phones.numbering_plans import parse_region
from providers.kit.settings import AccountSettings, account_values, proxy_for, variables
from sandbox import CREDENTIALS
from schemas.avro.framing import Framing
from schemas.did_you_mean import did_you_mean
from schemas.target import Target, parse_target
from streams.client.settings import KafkaSettings, kafka_properties
from streams.cluster.client_check import combination_faults
from streams.cluster.topics import TopicNames

SANDBOXED = (Target("facebook"), Target("tiktok"), Target("klaviyo"))

M = TypeVar("M", bound=BaseModel)


class ConfigError(CommandError):
    """Settings are missing or wrong; one line for each."""


def _parse_targets(value: object) -> object:
    if not isinstance(value, str):
        return value
    targets = tuple(parse_target(part) for part in value.split(",") if part.strip())
    unknown = [target.provider for target in targets if target.provider not in installed()]
    if unknown:
        near = did_you_mean(unknown, installed())
        raise ValueError(f"there is no provider of one of these names; there are {', '.join(installed())}{near}")
    return tuple(dict.fromkeys(targets))


class CommonSettings(BaseModel):
    """What every command needs."""

    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)

    providers: Annotated[tuple[Target, ...], BeforeValidator(_parse_targets)] = Field(
        default=(),
        alias="AUDIENCE_PROVIDERS",
        description="Accounts to serve, such as facebook,facebook/eu,tiktok.",
    )
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")] = Field(
        default="audience", alias="AUDIENCE_TOPIC_PREFIX", description="How topics and groups begin."
    )
    data: str = Field(
        default=".data",
        alias="AUDIENCE_DATA",
        description="Folder of the local Kafka and of what `up` runs with.",
    )
    env_file: str = Field(
        default=".env", alias="AUDIENCE_ENV_FILE", description="File of settings, read first; empty: none."
    )
    default_region: Annotated[str | None, BeforeValidator(parse_region)] = Field(
        default=None, alias="AUDIENCE_DEFAULT_REGION", description="Country of phone numbers that have none."
    )
    allow_weaker_topics: bool = Field(
        default=False,
        alias="AUDIENCE_ALLOW_WEAKER_TOPICS",
        description="Work on topics that keep less than they should.",
    )
    bootstrap_servers: str | None = Field(
        default=None,
        alias="KAFKA_BOOTSTRAP_SERVERS",
        description="The Kafka cluster; `up` starts one if unset.",
    )
    registry: SecretStr | None = Field(
        default=None,
        alias="SCHEMA_REGISTRY_URL",
        description="Confluent schema registry; values are then written in its framing.",
    )


class SandboxSettings(BaseModel):
    """The platforms' stand-ins."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    listen: Annotated[Address, BeforeValidator(parse_address)] = Field(
        default=Address(host="127.0.0.1", port=8090),
        alias="AUDIENCE_SANDBOX_LISTEN",
        description="host:port of the sandbox.",
    )
    limits: bool = Field(
        default=True, alias="AUDIENCE_SANDBOX_LIMITS", description="Enforce the platforms' rate limits."
    )
    latency: Annotated[float, Field(ge=0)] = Field(
        default=0.02, alias="AUDIENCE_SANDBOX_LATENCY", description="Seconds that each call takes at least."
    )


class UploadSettings(BaseModel):
    """Where `upload` sends files."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str | None = Field(
        default=None,
        alias="AUDIENCE_URL",
        description="Server that `upload` sends to, such as https://audience.example.com; unset: that of `up`, else "
        "AUDIENCE_LISTEN.",
    )
    token: SecretStr | None = Field(
        default=None,
        alias="AUDIENCE_TOKEN",
        description="Token for AUDIENCE_URL, one of its AUDIENCE_API_TOKENS.",
    )


_REQUIRED = "set it, it is required"
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_INSIDE = "a line break or another control character is inside; set it again as one line"

MODELS: Sequence[type[BaseModel]] = (CommonSettings, ServerSettings, ConsumerSettings, SandboxSettings, UploadSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything but accounts, which are read where they are served."""

    common: CommonSettings
    server: ServerSettings
    consumer: ConsumerSettings
    sandbox: SandboxSettings
    upload: UploadSettings
    properties: dict[str, str]

    @property
    def names(self) -> TopicNames:
        """Names of the topics."""
        return TopicNames(self.common.prefix)

    @property
    def kafka(self) -> KafkaSettings:
        """The cluster. Raises ConfigError where none is named."""
        if self.common.bootstrap_servers is None:
            raise ConfigError(
                "KAFKA_BOOTSTRAP_SERVERS: name your cluster, or start a Kafka of your own here with `audience up`"
            )
        return KafkaSettings(bootstrap_servers=self.common.bootstrap_servers, properties=self.properties)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The accounts to serve. Raises ConfigError where there are none."""
        if not self.common.providers:
            raise ConfigError("AUDIENCE_PROVIDERS: name the accounts to serve, such as facebook,tiktok,klaviyo")
        return self.common.providers

    @property
    def framing(self) -> Framing:
        """How values name their schema."""
        if self.common.registry is None:
            return Framing()
        from streams.client.schema_registry import ConfluentRegistry  # noqa: PLC0415 -- a sixth of a command's start

        topics = self.names.of_records
        return Framing(ConfluentRegistry(self.common.registry.get_secret_value(), topics))


def load(environment: Environment) -> Config:
    """Read the settings. Raises ConfigError, which lists all that is wrong."""
    wrong: list[str] = []
    properties: dict[str, str] = {}
    try:
        properties, _ = kafka_properties(environment.values)
        wrong += combination_faults(properties)
    except ValueError as error:
        wrong.append(str(error))
    aliases = {str(info.alias) for model in MODELS for info in model.model_fields.values()}
    wrong += _broken({name: environment.values[name] for name in sorted(aliases & environment.values.keys())})
    common = _load(CommonSettings, environment.values, wrong)
    server = _load(ServerSettings, environment.values, wrong)
    consumer = _load(ConsumerSettings, environment.values, wrong)
    sandbox = _load(SandboxSettings, environment.values, wrong)
    upload = _load(UploadSettings, environment.values, wrong)
    if common is None or server is None or consumer is None or sandbox is None or upload is None or wrong:
        raise ConfigError("\n".join(wrong))
    return Config(
        common=common, server=server, consumer=consumer, sandbox=sandbox, upload=upload, properties=properties
    )


def _broken(values: Mapping[str, str]) -> list[str]:
    """Return what is wrong with values that no header, URL or path can have; around a value a line end may stand."""
    return [f"{name}: {_INSIDE}" for name, value in values.items() if _CONTROL.search(value.strip())]


def _load(model: type[M], values: object, wrong: list[str]) -> M | None:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        wrong.extend(_faults_of(error))
        return None


def _faults_of(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_input=False, include_url=False, include_context=False):
        message = _REQUIRED if fault["type"] == "missing" else fault["msg"].removeprefix("Value error, ")
        field = str(fault["loc"][0]) if fault["loc"] else ""
        yield f"{field}: {message}" if field else message


def account(target: Target, environment: Environment, common: CommonSettings, *, made_up: bool = False) -> Account:
    """Read the settings of one account. Raises ConfigError, by variable.

    With `made_up`, a required setting that is missing is the example of its field, for what calls nobody.
    """
    kind = installed()[target.provider]
    try:
        names = variables(kind.settings_type, target)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    values = account_values(kind.settings_type, target, environment.values)
    if wrong := _broken({names[field][0]: value for field, value in values.items()}):
        raise ConfigError("\n".join(wrong))
    if common.default_region and "default_region" not in values:
        values["default_region"] = common.default_region
    try:
        proxy = proxy_for(kind.settings_type, values, environment.values)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if proxy is not None:
        values["proxy"] = proxy
    if made_up:
        values = _examples(kind.settings_type) | values
    try:
        return Account(target=target, kind=kind, settings=kind.settings_type.model_validate(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_by_variable(line, names, target) for line in _faults_of(error))) from None


def _by_variable(line: str, names: Mapping[str, Sequence[str]], target: Target) -> str:
    """Return what is wrong with the variables that hold the fields which a line begins with, of the account if none."""
    fields, _, text = line.partition(": ")
    if not any(field in names for field in fields.split()):
        return f"{target}: {line}"
    return f"{' '.join(names[field][0] if field in names else field for field in fields.split())}: {text}"


def _examples(kind: type[AccountSettings]) -> dict[str, str]:
    fields = kind.model_fields.items()
    return {name: info.examples[0] for name, info in fields if info.is_required() and info.examples}


def account_faults(environment: Environment) -> list[str]:
    """Return what is wrong with the accounts' settings that are set, by variable; what is missing is shown as such."""
    common = _load(CommonSettings, environment.values, [])
    faults: list[str] = []
    for target in (common and common.providers) or SANDBOXED:
        try:
            account(target, environment, common or CommonSettings(), made_up=True)
        except ConfigError as error:
            faults += str(error).splitlines()
    return list(dict.fromkeys(faults))


def sandboxed_providers(environment: Environment) -> list[str]:
    """Return the platforms that the sandbox plays: none where accounts are configured, or a base URL is."""
    if PROVIDERS in environment.values:
        return []
    mine = {name for name, origin in environment.origins.items() if origin != "audience up"}
    return [provider for provider in CREDENTIALS if f"{provider.upper()}_BASE_URL" not in mine]
