"""`audience config`: every setting, its value, where that comes from, and what is wrong; secrets are hidden."""

import re
import sys
from collections.abc import Iterator, Sequence

from msgspec import Struct
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.printing.tables import print_lines, print_objects, printable
from cli.settings.config import MODELS, SANDBOXED, CommonSettings, ConfigError, account_faults, load
from cli.settings.environment import Environment
from providers.installed import installed
from providers.kit.settings import variables
from schemas.target import Target
from streams.client.settings import is_kafka_variable

HIDDEN = "***"

COLUMNS = ("variable", "value", "from")

LEAST_FOR_MEANING = 30
"""Columns below which a table would tell the meaning a word a line."""

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


def show_config(environment: Environment, *, as_json: bool, as_env: bool) -> None:
    """Print every setting. Raises ConfigError, which lists all that is wrong, when that is done."""
    found = list(settings(environment))
    if as_json:
        print_objects(found)
    elif as_env:
        print_lines(line for setting in found for line in env_lines(setting))
    else:
        _print(found, Console())
    sys.stdout.flush()
    check_all(environment)


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


def _print(found: Sequence[Setting], console: Console) -> None:
    """Print a table where its names and values fit, else a few lines for each: no name is ever cut."""
    table, narrow = Table(*COLUMNS, "meaning"), Table(*COLUMNS)
    for column in table.columns[: len(COLUMNS)]:
        column.no_wrap = True
    for setting in found:
        cells = [Text(printable(cell)) for cell in (setting.variable, setting.shown, setting.origin)]
        table.add_row(*cells, setting.meaning)
        narrow.add_row(*cells)
    needed = console.measure(narrow, options=console.options.update_width(10_000)).maximum
    if needed + LEAST_FOR_MEANING <= console.width:
        console.print(table)
    else:
        print_lines(line for setting in found for line in _lines(setting))


def _lines(setting: Setting) -> Iterator[str]:
    yield f"{setting.variable}={setting.shown}"
    yield f"    {setting.meaning} ({setting.origin})"


def env_lines(setting: Setting) -> Iterator[str]:
    """Yield lines that a `.env` takes: what is set as it is, secrets and what is not set as comments."""
    yield f"# {setting.meaning}"
    if setting.is_set and setting.is_secret:
        yield f"# {setting.variable}=  (secret: set, from {setting.origin}; its value is not printed)"
    elif setting.is_set and setting.origin != "audience up":
        yield from _assignment(setting.variable, setting.value or "")
    else:
        yield f"# {setting.variable}={setting.shown}"


def _assignment(variable: str, value: str) -> Iterator[str]:
    if "${" in value or not value.isprintable():
        yield f"# {variable}=  (set, to what a .env can't hold as it is)"
    elif re.fullmatch(r"[A-Za-z0-9_.,:/@+-]+", value):
        yield f"{variable}={value}"
    else:
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        yield f"{variable}='{quoted}'"
