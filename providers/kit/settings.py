"""Settings of a provider's accounts, as read from environment variables."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from providers.kit.phones.numbering_plans import parse_region
from providers.kit.proxies import NONE, environment_proxy, own_host, parse_proxy
from providers.kit.rate_limiter import Rate, parse_rates
from schemas.target import Target

CREDENTIAL: dict[str, Any] = {"credential": True}
"""Marks a field that belongs to one account: it never falls back to the default account's."""


class AccountSettings(BaseModel):
    """What every account has. A provider adds its credentials and options, and sets `base_url`'s default.

    The variable of the field `access_token` is FACEBOOK_ACCESS_TOKEN, and FACEBOOK_EU_WEST_ACCESS_TOKEN for
    the account facebook/eu-west, which falls back to the former unless the field is a CREDENTIAL.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    base_url: str = Field(description="Scheme, host and optional path before the platform's own paths.")
    timeout: Annotated[float, Field(gt=0)] = Field(default=60, description="Seconds that one call may take.")
    slots: Annotated[int, Field(ge=1, le=1000)] = Field(default=16, description="Calls that may be under way at once.")
    pace: tuple[Rate, ...] | None = Field(
        default=None,
        description="Rates for every operation, such as 10/s,150/m, or off; unset: as documented.",
    )

    default_region: Annotated[str | None, BeforeValidator(parse_region)] = Field(
        default=None, description="Country of phone numbers that have none, such as DE; unset: none."
    )

    proxy: Annotated[SecretStr | None, BeforeValidator(parse_proxy)] = Field(
        default=None,
        description="Proxy of all calls, or off; unset: HTTPS_PROXY and NO_PROXY, for the platform's own host only.",
        json_schema_extra=CREDENTIAL,
    )

    @property
    def used_proxy(self) -> str | None:
        """The URL of the proxy that calls go through, which may hold a password; None for none."""
        return None if self.proxy is None or self.proxy.get_secret_value() == NONE else self.proxy.get_secret_value()

    @property
    def is_confined(self) -> bool:
        """Whether only public addresses may be called: where a person, not a platform, chose the URL."""
        return False

    @field_validator("pace", mode="before")
    @classmethod
    def _parse_pace(cls, value: object) -> object:
        return parse_rates(value) if isinstance(value, str) else value

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("expected a URL that begins with https:// or http://")
        return value


def variable(target: Target, field: str) -> str:
    """Return the name of the variable that holds a field of exactly this account."""
    parts = [target.provider, *target.account.split("-"), field] if target.account else [target.provider, field]
    return "_".join(parts).upper()


def variables(kind: type[AccountSettings], target: Target) -> dict[str, list[str]]:
    """Return for each field the variables that may hold it, the first that is set counts.

    Raises ValueError where the account's name makes a variable that already means something else.
    """
    default = Target(target.provider)
    mine = variable(target, "")
    clash = next((name for name in kind.model_fields if variable(default, name).startswith(mine)), None)
    if target.account and clash:
        raise ValueError(f"{target}: choose another account name, {variable(default, clash)} is a setting")
    return {name: _candidates(kind, name, target) for name in kind.model_fields}


def is_credential(kind: type[AccountSettings], field: str) -> bool:
    """Tell whether a field belongs to one account only, as it says which account that is."""
    extra = kind.model_fields[field].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("credential"))


def _candidates(kind: type[AccountSettings], field: str, target: Target) -> list[str]:
    owners = [target] if is_credential(kind, field) or not target.account else [target, Target(target.provider)]
    return [variable(owner, field) for owner in owners]


def account_values(kind: type[AccountSettings], target: Target, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of an account that are set; an empty variable is not set."""
    found = {
        field: next((environ[name] for name in names if environ.get(name)), None)
        for field, names in variables(kind, target).items()
    }
    return {field: value for field, value in found.items() if value is not None}


def proxy_for(kind: type[AccountSettings], values: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    """Return the environment's proxy for an account with these values, None where it has its own or none is for it.

    Only a platform's own host is called through it, which is what its base URL is by default: never this machine, a
    stand-in, or a URL that a person chose. Raises ValueError, by variable, where it is no proxy that we can use.
    """
    default = kind.model_fields["base_url"].default
    own = default if isinstance(default, str) else ""
    place = own_host(values.get("base_url", own), own) if "proxy" not in values else None
    found = environment_proxy(*place, environ) if place else None
    if found is None:
        return None
    variable, value = found
    try:
        return str(parse_proxy(value))
    except ValueError as error:
        raise ValueError(f"{variable}: {error}; <NAME>_PROXY=off calls a platform without") from None
