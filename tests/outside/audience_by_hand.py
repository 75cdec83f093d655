"""A provider of another package that makes its rows by hand, as providers did before rows were declared."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import msgspec
from pydantic import Field, SecretStr

from audience.provider import (
    CREDENTIAL,
    AccountSettings,
    Answer,
    AudienceType,
    AudienceUser,
    Limits,
    Provider,
    Rate,
    Rejection,
    Request,
    Sent,
    normalise,
    platform_error,
)


class AcmeSettings(AccountSettings):
    """An account of Acme."""

    base_url: str = Field(default="https://api.acme.example", description="Where Acme's API is.")
    token: SecretStr = Field(description="Token of the account.", examples=["TOKEN"], json_schema_extra=CREDENTIAL)
    account_id: str = Field(description="Account.", examples=["42"], json_schema_extra=CREDENTIAL)


class _Audience(msgspec.Struct):
    id: str
    name: str


class Acme(Provider[AcmeSettings, str]):
    """An account of Acme, which takes hashed e-mail addresses."""

    name: ClassVar[str] = "acme"
    settings_type = AcmeSettings
    limits = Limits(rows=1000, body=1_000_000)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = {"find": (), "create": (), "upload": (Rate(10, 1),)}
    codes: ClassVar[Mapping[str, str]] = {"401": "token_invalid", "404": "audience_gone", "429": "throttled"}

    @property
    def account_id(self) -> str:
        return self.settings.account_id

    def row(self, user: AudienceUser) -> str | Rejection:
        if not user.email:
            return Rejection(None, "no_identifier")
        if given := normalise.as_hash(user.email):
            return given
        address = normalise.email(user.email)
        return normalise.sha256_hex(address) if address else Rejection("email", "not_an_email")

    def identifiers(self, row: str) -> Iterable[str]:
        return ["email"]

    async def find_audience(self, platform_name: str) -> str | None:
        listed = (await self._call("find", "GET", "/v1/audiences")).read(list[_Audience])
        return min((audience.id for audience in listed if audience.name == platform_name), default=None)

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        body = msgspec.json.encode({"name": platform_name})
        return (await self._call("create", "POST", "/v1/audiences", body)).read(_Audience).id

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        body = msgspec.json.encode({"hashes": rows})
        await self._call("upload", "POST", f"/v1/audiences/{audience_id}/members", body)
        return Sent()

    async def _call(self, operation: str, method: str, path: str, body: bytes | None = None) -> Answer:
        headers = {"Authorization": f"Bearer {self.settings.token.get_secret_value()}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = Request(
            operation=operation, method=method, path=path, headers=headers, body=body, secrets=("Authorization",)
        )
        answer = await self.transport.send(request)
        if word := self.codes.get(str(answer.status)):
            raise platform_error(word, platform_code=f"HTTP {answer.status}", wait=answer.seconds("Retry-After"))
        if not 200 <= answer.status < 300:
            raise answer.unexpected()
        return answer
