"""Settings of a consumer."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from schemas.hash_keys import VARIABLE, HashKeys, parse_hash_keys

FINISHING = 0.7
"""Share of the time to end for what is in hand; the rest is for the last commit and for leaving the group."""

HIGHEST_PORT = 65_535

DECODED = 5
"""One in so many bytes in hand is decoded: by default some seven of ingestion's largest records."""


def _check_address(value: str | None) -> str | None:
    host, _, port = (value or "any:0").rpartition(":")
    if not host or not port.isdecimal() or int(port) > HIGHEST_PORT:
        raise ValueError("expected host:port, such as 127.0.0.1:8081; port 0 is any")
    return value


def _check_keys(value: SecretStr | None) -> SecretStr | None:
    text = value.get_secret_value() if value else ""
    if text:
        parse_hash_keys(text)
    return value if text else None


class ConsumerSettings(BaseModel):
    """How a consumer retries, how much it holds, how it ends. Times are seconds, sizes bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    retry_attempts: Annotated[int, Field(ge=1)] = Field(
        default=8,
        alias="AUDIENCE_RETRY_ATTEMPTS",
        description="Attempts of one platform call in place; further ones are made later.",
    )
    retry_age: Annotated[float, Field(gt=0)] = Field(
        default=86_400,
        alias="AUDIENCE_RETRY_AGE",
        description="Seconds from its first attempt for which a record is tried again; throttles do not count.",
    )
    search_calls: Annotated[int, Field(ge=1)] = Field(
        default=300,
        alias="AUDIENCE_SEARCH_CALLS",
        description="Calls of a record and try in which rows that a platform refuses are looked for; then later on.",
    )
    in_flight: Annotated[int, Field(ge=1_000_000)] = Field(
        default=32 * 1024 * 1024,
        alias="AUDIENCE_IN_FLIGHT_BYTES",
        description="Bytes of records that a process holds; a fifth is decoded at a time, to some ten times as much.",
    )
    shutdown_timeout: Annotated[float, Field(ge=0)] = Field(
        default=20,
        alias="AUDIENCE_SHUTDOWN_TIMEOUT",
        description="Seconds in which a process ends after SIGTERM; what is unfinished then is done again later.",
    )
    claim_expiry: Annotated[float, Field(gt=0)] = Field(
        default=120,
        alias="AUDIENCE_CLAIM_EXPIRY",
        description="Seconds for which one process may create an audience, and that a platform may take to list it.",
    )
    health_listen: Annotated[str | None, AfterValidator(_check_address)] = Field(
        default=None,
        alias="AUDIENCE_HEALTH_LISTEN",
        description="host:port for /healthz, /readyz and /metrics of a consumer or the ledger; unset: none.",
    )
    hash_keys: Annotated[SecretStr | None, AfterValidator(_check_keys)] = Field(
        default=None,
        alias=VARIABLE,
        description="Keys, separated by commas, that hash who was removed; the first one is used. Unset: no removals.",
    )

    @property
    def keys(self) -> HashKeys | None:
        """The keys that hash who was removed, None where nobody can be."""
        return parse_hash_keys(self.hash_keys.get_secret_value()) if self.hash_keys else None

    @property
    def decoded(self) -> int:
        """Bytes of records that are worked on at once; others wait as they are."""
        return self.in_flight // DECODED

    @property
    def finishing(self) -> float:
        """Seconds for what is in hand after SIGTERM."""
        return FINISHING * self.shutdown_timeout
