"""Variables that look like settings and are none: misspelt ones, and credentials that nobody uses."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from cli.errors import CommandError
from cli.settings.config import MODELS, SANDBOXED, sandboxed_providers
from cli.settings.environment import PROVIDERS, Environment
from providers.installed import installed
from providers.kit.settings import AccountSettings, variable
from schemas.target import Target, parse_target
from streams.client.settings import KAFKA_VARIABLES, is_kafka_variable
from streams.processes import lifeline

PREFIX = "AUDIENCE_"
RESEMBLES = 0.6
"""Likeness, from 0 to 1, of what follows our prefix, from which a known name is worth telling."""
MEANS = 0.8
"""The same from which it is what was meant."""
NEAR = 0.9
"""Likeness of whole names from which one without our prefix is a setting that is misspelt."""

DECISIVE = (PROVIDERS, "AUDIENCE_API_TOKENS", "KAFKA_BOOTSTRAP_SERVERS")
"""Who gets the users, who is let in, and by which Kafka: without them we do something else, and answer success."""

_INJECTED = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)")
_INJECTED_URL = re.compile(r"(tcp|udp|sctp)://.*", re.DOTALL)


class MisnamedSettingError(CommandError):
    """A setting that decides where users go has a wrong name."""


@dataclass(frozen=True, slots=True)
class UnknownSetting:
    """A variable that is ignored, where it comes from, and the setting that its name is nearest to."""

    variable: str
    origin: str
    nearest: str | None


def unknown_settings(environment: Environment) -> Iterator[UnknownSetting]:
    """Yield what is ignored: any other name with our prefix, and names near a setting of Kafka or of a provider.

    What container platforms inject for a service of our name is none of them.
    """
    known = _known(environment)
    for name, value in sorted(environment.values.items()):
        if name in known or _is_injected(name, value) or _owner(name) or is_kafka_variable(name):
            continue
        nearest = _nearest(name, known)
        if nearest or name.upper().startswith(PREFIX):
            yield UnknownSetting(name, environment.origins[name], nearest)


def check_names(environment: Environment, unknown: Collection[UnknownSetting]) -> None:
    """Raise MisnamedSettingError where a decisive setting is not set, and one that is ignored seems to be meant."""
    for found in unknown:
        meant = _meant(found, environment.values[found.variable])
        if meant in DECISIVE and environment.origins.get(meant) in (None, "audience up"):
            variable = f"{found.variable} ({found.origin})"
            raise MisnamedSettingError(f"{variable}: no such setting; rename it if you mean {meant}, else unset it")


def unused_credentials(environment: Environment, chosen: Collection[Target]) -> dict[Target, list[str]]:
    """Return the credentials that are set for accounts that are neither configured nor chosen, by account.

    An account with a name counts once it has all that it needs, as other programs have variables of this form.
    """
    served = {*chosen, *(_accounts(environment.values.get(PROVIDERS, "")) or _called_elsewhere(environment))}
    found: dict[Target, list[str]] = {}
    for name in sorted(environment.values):
        owner = _owner(name) if environment.origins[name] != "audience up" else None
        if owner and owner not in served and name in _needed(owner):
            found.setdefault(owner, []).append(name)
    return {owner: names for owner, names in found.items() if not owner.account or len(names) == len(_needed(owner))}


def _called_elsewhere(environment: Environment) -> set[Target]:
    """Return the accounts that `up` serves by a URL of their own where none is configured."""
    return set(SANDBOXED) - {Target(name) for name in sandboxed_providers(environment)}


def _known(environment: Environment) -> frozenset[str]:
    ours = {str(info.alias) for model in MODELS for info in model.model_fields.values()}
    accounts = {variable(target, field) for target in _targets(environment) for field in _fields(target.provider)}
    return frozenset(ours | accounts | KAFKA_VARIABLES | {lifeline.VARIABLE})


def _targets(environment: Environment) -> set[Target]:
    """Return the default account of every provider and the accounts that are configured."""
    return {Target(name) for name in installed()} | set(_accounts(environment.values.get(PROVIDERS, "")))


def _accounts(value: str) -> list[Target]:
    """Return the accounts that a value names; none if it names anything else."""
    try:
        targets = [parse_target(part) for part in value.split(",") if part.strip()]
    except ValueError:
        return []
    return targets if all(target.provider in installed() for target in targets) else []


def _fields(provider: str) -> Mapping[str, object]:
    return _settings(provider).model_fields


def _settings(provider: str) -> type[AccountSettings]:
    return installed()[provider].settings_type


def _needed(target: Target) -> set[str]:
    """Return the variables of the credentials that an account can't do without."""
    fields = _settings(target.provider).model_fields.items()
    return {variable(target, field) for field, info in fields if info.is_required()}


def _owner(name: str) -> Target | None:
    """Return the account that a variable is of by its form, configured or not."""
    for provider in installed():
        for field in _fields(provider):
            form = rf"{provider.upper()}_(?:(?P<account>[A-Z0-9]+(?:_[A-Z0-9]+)*)_)?{field.upper()}"
            if found := re.fullmatch(form, name):
                return Target(provider, (found["account"] or "").lower().replace("_", "-"))
    return None


def _is_injected(name: str, value: str) -> bool:
    """Tell whether a container platform sets this of a service; a port that a person sets is a plain number."""
    is_url = name.endswith("_PORT") and _INJECTED_URL.fullmatch(value)
    return bool(is_url or _INJECTED.fullmatch(name))


def _nearest(name: str, known: Collection[str], likeness: float = RESEMBLES) -> str | None:
    upper = name.upper()
    if not upper.startswith(PREFIX):
        return next(iter(get_close_matches(upper, known, 1, NEAR)), None)
    rests = [other.removeprefix(PREFIX) for other in known if other.startswith(PREFIX)]
    rest = next(iter(get_close_matches(upper.removeprefix(PREFIX), rests, 1, likeness)), None)
    return PREFIX + rest if rest else None


def _meant(found: UnknownSetting, value: str) -> str | None:
    """Return the setting that must have been meant: one that is very near, or by a value that names accounts."""
    near = found.nearest and _nearest(found.variable, [found.nearest], MEANS)
    is_ours = found.variable.upper().startswith(PREFIX)
    return near or (PROVIDERS if is_ours and _accounts(value) else None)
