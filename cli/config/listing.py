"""Every setting, its value, where that comes from, and what is wrong with any."""

from collections.abc import Iterator, Sequence

from msgspec import Struct
from pydantic import BaseModel

from cli.settings.config import MODELS, SANDBOXED, CommonSettings, ConfigError, account_faults, load
from cli.settings.environment import Environment
from providers.installed import installed
from providers.kit.settings import variables
from schemas.target import Target
from streams.client.settings import is_kafka_variable

HIDDEN = "***"

SECRET_WORDS = ("PASSWORD", "SECRET", "KEY", "TOKEN", "JAAS", "SASL_OAUTHBEARER_CONFIG", "PEM")


KAFKA_HOME = "Folder of a Kafka that `up` starts instead of the one that it fetches."


class Setting(Struct, frozen=True, kw_only=True, rename="camel"):
    """One setting. `value` is null where there is none, or where it is hidden."""

    variable: str
    value: str | None
    origin: str
    meaning: str
    is_set: bool
    is_secret: bool
    is_required: bool

    @property
    def shown(self) -> str:
        """The value as a table tells it."""
        if self.is_set and self.is_secret:
            return HIDDEN
        return "(required)" if self.is_required and not self.is_set else self.value or ""


def check_all(environment: Environment) -> None:
    """Raises ConfigError, which lists all that is wrong with any setting, by variable."""
    faults: list[str] = []
    try:
        load(environment)
    except ConfigError as error:
        faults += str(error).splitlines()
    faults += account_faults(environment)
    if faults:
        raise ConfigError("\n".join(faults))


def settings(environment: Environment) -> Iterator[Setting]:
    """Yield every setting, those of Kafka's client and of accounts included."""
    for model in MODELS:
        for name, info in model.model_fields.items():
            yield _setting(environment, [str(info.alias or name)], model, name)
    ours = {str(info.alias) for model in MODELS for info in model.model_fields.values()}
    for variable in sorted(environment.values.keys() - ours):
        if is_kafka_variable(variable):
            yield _kafka_setting(environment, variable)
    for target in _targets(environment):
        kind = installed()[target.provider].settings_type
        try:
            names = variables(kind, target)
        except ValueError:
            continue  # which `check_all` tells
        for name, candidates in names.items():
            yield _setting(environment, candidates, kind, name)


def _targets(environment: Environment) -> Sequence[Target]:
    try:
        return CommonSettings.model_validate(environment.values).providers or SANDBOXED
    except ValueError:
        return SANDBOXED


def _setting(environment: Environment, candidates: Sequence[str], model: type[BaseModel], name: str) -> Setting:
    info = model.model_fields[name]
    found = next((variable for variable in candidates if environment.values.get(variable)), None)
    is_secret = "SecretStr" in str(info.annotation)
    default = None if info.is_required() or info.get_default() in (None, ()) else str(info.get_default())
    value = default if found is None else None if is_secret else environment.values[found]
    return Setting(
        variable=found or candidates[0],
        value=value,
        origin="default" if found is None else environment.origins[found],
        meaning=info.description or "",
        is_set=found is not None,
        is_secret=is_secret,
        is_required=info.is_required(),
    )


def _kafka_setting(environment: Environment, variable: str) -> Setting:
    is_secret = any(word in variable for word in SECRET_WORDS)
    name = variable.removeprefix("KAFKA_").lower().replace("_", ".")
    meaning = KAFKA_HOME if variable == "KAFKA_HOME" else f"The property {name} of Kafka's client."
    return Setting(
        variable=variable,
        value=None if is_secret else environment.values[variable],
        origin=environment.origins[variable],
        meaning=meaning,
        is_set=True,
        is_secret=is_secret,
        is_required=False,
    )
