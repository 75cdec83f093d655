"""Settings of the ingestion server."""

import ipaddress
import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from schemas.bounds import MAX_USERS

MIB = 1024 * 1024

_PUBLIC_URL = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?(?:/[A-Za-z0-9._~/%-]*)?")


class Address(BaseModel):
    """Where to listen."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: Annotated[int, Field(ge=0, le=65535)]

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        return is_loopback(self.host)


def parse_address(value: object) -> object:
    """Parse `host:port`, `[::1]:8080` for IPv6. Raises ValueError, which says what to write."""
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError("expected host:port, such as 127.0.0.1:8080")
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("expected host:port, and no host can have such a name") from None
    return {"host": host.strip("[]"), "port": int(port)}


def is_loopback(host: str) -> bool:
    """Tell whether a host, name or address, is this machine seen from itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parse_tokens(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(token.strip() for token in value.split(",") if token.strip())


def _parse_public_url(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _PUBLIC_URL.fullmatch(value):
        raise ValueError("expected http:// or https://, a host, and perhaps a path, such as https://lists.example.com")
    return value.rstrip("/")


class ServerSettings(BaseModel):
    """How the server listens, whom it lets in, and what it takes. Times are seconds, sizes bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    listen: Annotated[Address, BeforeValidator(parse_address)] = Field(
        default=Address(host="127.0.0.1", port=8080),
        alias="AUDIENCE_LISTEN",
        description="host:port of the HTTP endpoint.",
    )
    tokens: Annotated[tuple[SecretStr, ...], BeforeValidator(_parse_tokens)] = Field(
        default=(),
        alias="AUDIENCE_API_TOKENS",
        description="Bearer tokens, separated by commas; without any only this machine is let in.",
    )
    read_tokens: Annotated[tuple[SecretStr, ...], BeforeValidator(_parse_tokens)] = Field(
        default=(),
        alias="AUDIENCE_READ_TOKENS",
        description="Bearer tokens that may look at everything and upload nothing, separated by commas; they need "
        "AUDIENCE_API_TOKENS beside them.",
    )
    sync_timeout: Annotated[float, Field(gt=0)] = Field(
        default=50,
        alias="AUDIENCE_SYNC_TIMEOUT",
        description="Seconds from a body's last byte in which sync=true is answered; less than your proxy waits.",
    )
    keepalive: Annotated[float, Field(gt=0)] = Field(
        default=75,
        alias="AUDIENCE_KEEPALIVE",
        description="Seconds that an idle connection stays open; more than your load balancer keeps one.",
    )
    public_url: Annotated[str | None, BeforeValidator(_parse_public_url)] = Field(
        default=None,
        alias="AUDIENCE_PUBLIC_URL",
        description="Where clients reach the server, for URLs in answers; unset: answers name paths.",
    )
    retry_window: Annotated[float, Field(ge=0)] = Field(
        default=600,
        alias="AUDIENCE_RETRY_WINDOW",
        description="Seconds in which the same sequence of a session is a batch sent again, or a contradiction.",
    )
    max_body: Annotated[int, Field(gt=0)] = Field(
        default=64 * MIB, alias="AUDIENCE_MAX_BODY", description="Bytes of a request."
    )
    max_users: Annotated[int, Field(gt=0, le=MAX_USERS)] = Field(
        default=MAX_USERS, alias="AUDIENCE_MAX_USERS", description="Users in a request."
    )
    body_timeout: Annotated[float, Field(gt=0)] = Field(
        default=60, alias="AUDIENCE_BODY_TIMEOUT", description="Seconds that a request's body may take."
    )
    body_budget: Annotated[int, Field(gt=0)] = Field(
        default=256 * MIB,
        alias="AUDIENCE_BODY_BUDGET",
        description="Bytes held at once of request bodies, and of their records until Kafka has them.",
    )
    event_listeners: Annotated[int, Field(ge=0)] = Field(
        default=1_000,
        alias="AUDIENCE_EVENT_LISTENERS",
        description="Listeners of /events at once; never more than half the files that the process may open.",
    )
    event_heartbeat: Annotated[float, Field(gt=0, le=30)] = Field(
        default=15,
        alias="AUDIENCE_EVENT_HEARTBEAT",
        description="Seconds between signs of life on /events; less than your proxy waits for the next byte.",
    )

    @model_validator(mode="after")
    def _check_exposure(self) -> "ServerSettings":
        if not self.tokens and not self.listen.is_loopback:
            raise ValueError(
                "AUDIENCE_LISTEN: set AUDIENCE_API_TOKENS to listen on anything but this machine's loopback"
            )
        if self.read_tokens and not self.tokens:
            raise ValueError("AUDIENCE_READ_TOKENS: set AUDIENCE_API_TOKENS, too: without it everybody here may upload")
        if self.body_budget < self.max_body:
            raise ValueError("AUDIENCE_BODY_BUDGET: expected at least AUDIENCE_MAX_BODY")
        return self
