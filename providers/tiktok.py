"""TikTok: audiences over the streaming segment API."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from pydantic import Field, SecretStr

from providers.kit.call_limits import Limits
from providers.kit.call_outcome import Removed, Sent
from providers.kit.errors import PlatformError, platform_error
from providers.kit.http import Request, Transport
from providers.kit.provider import REAL, Provider, Surroundings
from providers.kit.rate_limiter import Rate
from providers.kit.removal_declaration import Removal
from providers.kit.rows import rules
from providers.kit.rows.body_template import AUDIENCE_ID, CELL, NAMES, ROWS, Body, Known
from providers.kit.rows.columns import Cells, Column, RowTemplate
from providers.kit.rows.rules import NO_PLUS, NO_SPACES
from providers.kit.settings import CREDENTIAL, AccountSettings
from providers.kit.streamed_body import encoded
from schemas.records import AudienceType

VERSION = "/open_api/v1.3"
EMAIL = Column(
    "EMAIL_SHA256",
    "email",
    (NO_SPACES, rules.EMAIL, rules.NO_ALIASES.only("strip_aliases", True)),
    "sha256",
    source="TikTok, help on customer files; its older pages also drop dots and what follows a `+`",
)
PHONE = Column(
    "PHONE_SHA256",
    "phone",
    (rules.PHONE, NO_PLUS.only("phone_plus", False)),
    "sha256",
    source="TikTok, API reference of `/segment/mapping/`; some of its help pages leave out the `+`",
)
SCHEMA = (EMAIL.name, PHONE.name)
MAX_NAME = 70
"""Longer names are shortened by TikTok to 67 characters and three dots."""

PAGE = 100
BODY = 550_000
"""Bytes of rows as we hold them, which grow to less than 1 MB when audience ids are put in."""

# TikTok's return codes in our words; HTTP is 200 for all of them.
CODES: Mapping[str, str] = {
    "20001": "partly_taken",
    "40000": "request_refused",
    "40001": "permission_missing",
    "40002": "request_refused",
    "40006": "api_version_ended",
    "40007": "audience_gone",
    "40008": "request_refused",
    "40009": "not_admitted",
    "40011": "request_refused",
    "40013": "not_admitted",
    "40014": "not_admitted",
    "40016": "throttled",
    "40051": "api_version_ended",
    "40100": "throttled",
    "40101": "token_invalid",
    "40102": "token_invalid",
    "40103": "token_invalid",
    "40104": "token_invalid",
    "40105": "token_invalid",
    "40106": "token_invalid",
    "40107": "token_invalid",
    "40108": "token_invalid",
    "40110": "token_invalid",
    "40113": "token_invalid",
    "40118": "not_admitted",
    "40119": "permission_missing",
    "40124": "permission_missing",
    "40125": "permission_missing",
    "40132": "throttled",
    "40133": "throttled",
    "40201": "busy",
    "40202": "busy",
    "40300": "account_not_found",
    "40301": "account_blocked",
    "40502": "restricted",
    "40900": "request_refused",
    **dict.fromkeys(map(str, range(40905, 40911)), "request_refused"),
    "40914": "request_refused",
    "41000": "account_blocked",
    "50000": "platform_error",
    "50002": "platform_error",
    "51305": "platform_error",
    "60001": "maintenance",
}
DONE = frozenset({0, 40050})
"""40050 is a request that TikTok has had before: its rows are in."""

PROCESSING = ("being processed", "size is 0")
"""Words of 40002 by which alone an audience that is not ready is told from a wrong parameter."""

WAITS: Mapping[str, float] = {"maintenance": 300.0}

T = TypeVar("T")


class TikTokSettings(AccountSettings):
    """An advertiser account of TikTok."""

    base_url: str = Field(
        default="https://business-api.tiktok.com",
        description="Where TikTok's API is; its version comes behind.",
    )
    access_token: SecretStr = Field(
        description="Long-lived token with Audience Management.", examples=["TOKEN"], json_schema_extra=CREDENTIAL
    )
    advertiser_id: Annotated[str, Field(pattern=r"^\d+$")] = Field(
        description="Advertiser account.", examples=["1234567890"], json_schema_extra=CREDENTIAL
    )
    phone_plus: bool = Field(
        default=True,
        description="Hash phone numbers with their +; TikTok's pages disagree, its reference has it.",
    )
    strip_aliases: bool = Field(
        default=False,
        description="Hash e-mail addresses without dots and +suffix before the @, as TikTok's older pages ask.",
    )
    rows: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1000, description="Rows of one upload; no limit is documented, others keep to 1,000."
    )


class _Info(msgspec.Struct):
    total_page: int


class _Entry(msgspec.Struct):
    audience_id: str
    name: str


class _Listed(msgspec.Struct):
    page_info: _Info
    entries: list[_Entry] = msgspec.field(name="list")


class _Made(msgspec.Struct):
    audience_id: str


class TikTok(Provider[TikTokSettings, list[str]]):
    """An advertiser. TikTok takes rows at once, matches within two days and never says whom."""

    name: ClassVar[str] = "tiktok"
    settings_type = TikTokSettings
    limits = Limits(rows=1000, body=BODY)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = dict.fromkeys(
        ("find", "create", "upload", "remove"), (Rate(10, 1), Rate(600, 60))
    )
    codes = CODES
    template = RowTemplate(
        row=Cells(EMAIL, PHONE),
        usable=[[EMAIL], [PHONE]],
        rejects=[EMAIL, PHONE],
        source="TikTok, API reference of `/segment/mapping/`",
    )
    removal = Removal(
        says="`POST /segment/mapping/` with `action: delete`", source="TikTok, API reference of `/segment/mapping/`"
    )
    body = Body(
        shape={
            "advertiser_ids": [Known("advertiser_id")],
            "action": Known("action"),
            "id_schema": NAMES,
            "batch_data": ROWS,
        },
        cell={"id": CELL, "audience_ids": [AUDIENCE_ID]},
        empty={},
    )

    def __init__(self, settings: TikTokSettings, transport: Transport, around: Surroundings = REAL) -> None:
        super().__init__(settings, transport, around)
        self.limits = Limits(rows=settings.rows, body=BODY)

    @property
    def account_id(self) -> str:
        """The advertiser's id."""
        return self.settings.advertiser_id

    def platform_name(self, name: str, *, disable_prefix: bool) -> str:
        """Return the name as TikTok keeps it."""
        whole = super().platform_name(name, disable_prefix=disable_prefix)
        return whole if len(whole) <= MAX_NAME else whole[: MAX_NAME - 3] + "..."

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
            shown = await self._data("find", "GET", "/dmp/custom_audience/list/", _Listed, query=query)
            found += [entry.audience_id for entry in shown.entries if entry.name == platform_name]
            pages = shown.page_info.total_page if shown.entries else 0
            page += 1
        return min(found, key=lambda audience_id: (len(audience_id), audience_id), default=None)

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Create a segment, which Ads Manager shows as a partner audience, of either type."""
        del audience_type
        body = {
            "advertiser_id": self.settings.advertiser_id,
            "action": "create",
            "custom_audience_name": platform_name,
        }
        return (await self._data("create", "POST", "/segment/audience/", _Made, body=body)).audience_id

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Map rows to the audience. TikTok answers for the call as a whole, never for a row."""
        return Sent(request_ids=await self._map("upload", "add", audience_id, rows, self.maker.names))

    async def remove(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Removed:
        """End the mapping of rows to the audience: of each id by itself, so an id that a row lacks stays in it."""
        return Removed(request_ids=await self._map("remove", "delete", audience_id, rows, self.removal_maker.names))

    async def _map(
        self, operation: str, action: str, audience_id: str, rows: Sequence[msgspec.Raw], names: Sequence[str]
    ) -> Sequence[str]:
        known = {"names": names, "advertiser_id": self.settings.advertiser_id, "audience_id": audience_id}
        body = await self.body.around(rows, action=action, **known)
        envelope = await self._call(operation, "POST", "/segment/mapping/", body=body)
        request_id = envelope.get("request_id")
        return [request_id] if isinstance(request_id, str) else []

    async def _data(
        self,
        operation: str,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> T:
        envelope = await self._call(operation, method, path, query=query, body=body)
        try:
            return msgspec.convert(envelope.get("data"), kind)
        except msgspec.ValidationError:
            raise platform_error("unexpected_answer", platform_code=str(envelope["code"])) from None

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> dict[str, Any]:
        """Return the envelope of an answer whose code says that all is done."""
        headers = {
            "Access-Token": self.settings.access_token.get_secret_value(),
            "Content-Type": "application/json",
        }
        request = Request(
            operation=operation,
            method=method,
            path=VERSION + path,
            query=query or {},
            headers=headers,
            body=encoded(body),
            secrets=("Access-Token",),
        )
        answer = await self.transport.send(request)
        envelope = answer.json_object()
        if not isinstance(envelope.get("code"), int):
            raise answer.unexpected()
        if envelope["code"] not in DONE:
            raise self._refusal(envelope, operation)
        return envelope

    def _refusal(self, envelope: Mapping[str, Any], operation: str) -> PlatformError:
        message, code = str(envelope.get("message", "")), str(envelope["code"])
        word = CODES.get(code, "platform_error")
        if code == "40002" and any(words in message for words in PROCESSING):
            word = "busy"
        if word == "audience_gone" and operation not in ("upload", "remove"):
            word = "request_refused"
        request_id = envelope.get("request_id")
        return platform_error(
            word,
            platform_code=code,
            request_id=request_id if isinstance(request_id, str) else None,
            wait=recovery_seconds(message, self.around.now()) if word == "throttled" else WAITS.get(word),
        )


def recovery_seconds(message: str, now: datetime) -> float:
    """Return how long a limit lasts: a second, five minutes, or until midnight UTC (TikTok's rate limit page)."""
    if "QPD" in message:
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return (midnight - now).total_seconds()
    return 300.0 if "QPM" in message else 1.0
