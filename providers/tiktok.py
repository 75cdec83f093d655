"""TikTok: audiences over the streaming segment API."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar

import msgspec
from pydantic import Field, SecretStr

from providers import normalise
from providers.base import Limits, Provider, Rejection, Sent
from providers.errors import PlatformError, platform_error
from providers.http import Request, Transport
from providers.pace import Rate
from providers.settings import CREDENTIAL, AccountSettings
from schemas.records import AudienceType, AudienceUser

VERSION = "/open_api/v1.3"
SCHEMA = ("EMAIL_SHA256", "PHONE_SHA256")
MAX_NAME = 70
"""Longer names are shortened by TikTok to 67 characters and three dots."""

PAGE = 100
ROWS = 1000
"""No limit is documented; others keep to 1,000 rows and 1 MB a call."""

# TikTok's return codes in our words; HTTP is 200 for all of them.
CODES: Mapping[int, str] = {
    40000: "request_refused",
    40001: "permission_missing",
    40002: "request_refused",
    40006: "request_refused",
    40007: "audience_gone",
    40008: "request_refused",
    40011: "request_refused",
    40016: "throttled",
    40100: "throttled",
    40101: "token_invalid",
    40102: "token_invalid",
    40104: "token_invalid",
    40105: "token_invalid",
    40106: "token_invalid",
    40113: "token_invalid",
    40118: "terms_not_accepted",
    40119: "permission_missing",
    40124: "permission_missing",
    40125: "permission_missing",
    40132: "throttled",
    40133: "throttled",
    40201: "busy",
    40202: "busy",
    40300: "account_not_found",
    40301: "account_blocked",
    41000: "account_blocked",
}
DONE = frozenset({0, 40050})
"""40050 is a request that TikTok has had before: its rows are in."""

PARTIAL = 20001


class TikTokSettings(AccountSettings):
    """An advertiser account of TikTok."""

    base_url: str = Field(
        default="https://business-api.tiktok.com",
        description="Where TikTok's API is; its version comes behind.",
    )
    access_token: SecretStr = Field(
        description="Long-lived token with Audience Management.", json_schema_extra=CREDENTIAL
    )
    advertiser_id: Annotated[str, Field(pattern=r"^\d+$")] = Field(
        description="Advertiser account.", json_schema_extra=CREDENTIAL
    )
    phone_plus: bool = Field(
        default=True,
        description="Hash phone numbers with their +; TikTok's pages disagree, its reference has it.",
    )


class TikTok(Provider[TikTokSettings, list[str]]):
    """An advertiser. TikTok takes rows at once, matches within two days and never says whom."""

    name: ClassVar[str] = "tiktok"
    settings_type = TikTokSettings
    limits = Limits(rows=ROWS, body=ROWS * 140)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = dict.fromkeys(
        ("find", "create", "upload"), (Rate(10, 1), Rate(600, 60))
    )

    def __init__(
        self,
        settings: TikTokSettings,
        transport: Transport,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(settings, transport)
        self._clock = clock

    def platform_name(self, name: str, *, disable_prefix: bool) -> str:
        """Return the name as TikTok keeps it."""
        whole = super().platform_name(name, disable_prefix=disable_prefix)
        return whole if len(whole) <= MAX_NAME else whole[: MAX_NAME - 3] + "..."

    def row(self, user: AudienceUser) -> list[str] | Rejection:
        """Return the hashes of SCHEMA, empty where there is none; TikTok takes nothing else."""
        mail, number = self._email(user.email), self._phone(user)
        if mail or number:
            return [mail, number]
        if user.email:
            return Rejection("email", "not_an_email")
        return Rejection("phone", "not_a_phone") if user.phone else Rejection(None, "no_identifier")

    def _email(self, text: str | None) -> str:
        if not text:
            return ""
        cleaned = normalise.email("".join(text.split()))
        return normalise.as_hash(text) or (normalise.sha256_hex(cleaned) if cleaned else "")

    def _phone(self, user: AudienceUser) -> str:
        if not user.phone:
            return ""
        if given := normalise.as_hash(user.phone):
            return given
        country = normalise.country(user.country) if user.country else None
        number = normalise.phone(user.phone, country or self.settings.default_region)
        if number is None:
            return ""
        return normalise.sha256_hex(number if self.settings.phone_plus else number[1:])

    async def find_audience(self, platform_name: str) -> str | None:
        """Page through the account's audiences; of several with this name take the one with the smallest id."""
        found: list[str] = []
        page, pages = 1, 1
        while page <= pages:
            query = {
                "advertiser_id": self.settings.advertiser_id,
                "page": str(page),
                "page_size": str(PAGE),
            }
            data = await self._call("find", "GET", "/dmp/custom_audience/list/", query=query)
            found += [entry["audience_id"] for entry in data.get("list", ()) if entry["name"] == platform_name]
            pages = int(data.get("page_info", {}).get("total_page", 1))
            page += 1
        return min(found, key=int, default=None)

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Create a segment, which Ads Manager shows as a partner audience, of either type."""
        del audience_type
        body = {
            "advertiser_id": self.settings.advertiser_id,
            "action": "create",
            "custom_audience_name": platform_name,
        }
        data = await self._call("create", "POST", "/segment/audience/", body=msgspec.json.encode(body))
        return str(data["audience_id"])

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Map rows to the audience. TikTok answers for the call as a whole, never for a row."""
        data = [
            [{"id": cell, "audience_ids": [audience_id]} if cell else {} for cell in cells]
            for cells in (msgspec.json.decode(row, type=list[str]) for row in rows)
        ]
        body = {
            "advertiser_ids": [self.settings.advertiser_id],
            "action": "add",
            "id_schema": SCHEMA,
            "batch_data": data,
        }
        answer = await self._call("upload", "POST", "/segment/mapping/", body=msgspec.json.encode(body))
        request_id = answer.get("request_id")
        return Sent(request_ids=[request_id] if isinstance(request_id, str) else [])

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> dict[str, Any]:
        """Return the answer's data, with the request id."""
        headers = {
            "Access-Token": self.settings.access_token.get_secret_value(),
            "Content-Type": "application/json",
        }
        answer = await self.transport.send(
            Request(
                operation=operation,
                method=method,
                path=VERSION + path,
                query=query,
                headers=headers,
                body=body,
            )
        )
        envelope = answer.json()
        code = envelope.get("code") if isinstance(envelope, dict) else None
        if not isinstance(code, int):
            word = "platform_error" if answer.status >= 500 else "unexpected_answer"
            raise platform_error(word, platform_code=f"HTTP {answer.status}")
        if code not in DONE:
            raise self._refusal(code, envelope)
        data = envelope.get("data")
        return {**(data if isinstance(data, dict) else {}), "request_id": envelope.get("request_id")}

    def _refusal(self, code: int, envelope: Mapping[str, Any]) -> PlatformError:
        message = str(envelope.get("message", ""))
        word = CODES.get(code, "platform_error")
        if code == 40002 and ("processed" in message or "size is 0" in message):
            word = "busy"
        if code == PARTIAL:
            word = "partly_taken"
        request_id = envelope.get("request_id")
        return platform_error(
            word,
            platform_code=str(code),
            request_id=request_id if isinstance(request_id, str) else None,
            wait=recovery_seconds(message, self._clock()) if word == "throttled" else None,
        )


def recovery_seconds(message: str, now: datetime) -> float:
    """Return how long a limit lasts: a second, five minutes, or until midnight UTC (TikTok's rate limit page)."""
    if "QPD" in message:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (midnight - now).total_seconds()
    return 300.0 if "QPM" in message else 1.0
