"""Acme: hashed e-mail addresses to one URL."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec
from pydantic import Field, SecretStr

from audience.provider import (
    AUDIENCE_ID,
    CREDENTIAL,
    EMAIL,
    ROWS,
    AccountSettings,
    AudienceType,
    Body,
    Column,
    Limits,
    Provider,
    Rate,
    Request,
    RowTemplate,
    Sent,
    platform_error,
)

ADDRESS = Column("email", "email", (EMAIL,), "sha256")
CODES = {"400": "request_refused", "401": "token_invalid", "403": "permission_missing", "429": "throttled"}


class AcmeSettings(AccountSettings):
    """An account of Acme."""

    base_url: str = Field(default="https://api.acme.example", description="Where Acme's API is.")
    token: SecretStr = Field(description="Token of the account.", examples=["TOKEN"], json_schema_extra=CREDENTIAL)
    account_id: str = Field(description="Account.", examples=["42"], json_schema_extra=CREDENTIAL)


class Acme(Provider[AcmeSettings, str]):
    """An account of Acme, which has an audience as soon as somebody is in it and says nothing about users."""

    name: ClassVar[str] = "acme"
    settings_type = AcmeSettings
    limits = Limits(rows=1000, body=1_000_000)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = {"upload": (Rate(10, 1),)}
    codes: ClassVar[Mapping[str, str]] = CODES
    template = RowTemplate(row=ADDRESS, usable=[[ADDRESS]], rejects=[ADDRESS], source="https://docs.acme.example/users")
    body = Body(shape={"audience": AUDIENCE_ID, "hashes": ROWS})

    @property
    def account_id(self) -> str:
        """The account's number."""
        return self.settings.account_id

    async def find_audience(self, platform_name: str) -> str:
        """Return the name, which is all that Acme knows an audience by."""
        return platform_name

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Return the name: nothing is to be made."""
        return platform_name

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Add hashes; Acme takes all of a call or none."""
        token = self.settings.token.get_secret_value()
        request = Request(
            operation="upload",
            method="POST",
            path=f"/v1/accounts/{self.account_id}/members",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            body=msgspec.json.encode(self.body.filled(rows, audience_id=audience_id)),
            secrets=("Authorization",),
        )
        answer = await self.transport.send(request)
        if word := self.codes.get(str(answer.status)):
            raise platform_error(word, platform_code=f"HTTP {answer.status}", wait=answer.seconds("Retry-After"))
        if answer.status != 204:
            raise answer.unexpected()
        return Sent()
