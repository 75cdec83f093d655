"""Settings of a provider's accounts, as read from environment variables."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from providers.numbering import parse_region
from providers.pace import Rate, parse_rates
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


def _candidates(kind: type[AccountSettings], field: str, target: Target) -> list[str]:
    extra = kind.model_fields[field].json_schema_extra
    is_own = isinstance(extra, dict) and bool(extra.get("credential"))
    owners = [target] if is_own or not target.account else [target, Target(target.provider)]
    return [variable(owner, field) for owner in owners]


def account_values(kind: type[AccountSettings], target: Target, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of an account that are set; an empty variable is not set."""
    found = {
        field: next((environ[name] for name in names if environ.get(name)), None)
        for field, names in variables(kind, target).items()
    }
    return {field: value for field, value in found.items() if value is not None}
