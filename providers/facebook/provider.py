"""Facebook: Meta's Customer File Custom Audiences over the Marketing API."""

import hashlib
import hmac
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal, TypeVar

import msgspec
from pydantic import Field, SecretStr, model_validator

from providers.facebook.answers import CODES, VERSION_WARNING, Received, refusal, refused_rows
from providers.facebook.usage_headers import pause_by_usage
from providers.kit.call_limits import Limits
from providers.kit.call_outcome import Removed, Sent
from providers.kit.errors import TooMuchError, platform_error
from providers.kit.http import Answer, Request
from providers.kit.provider import Provider
from providers.kit.rate_limiter import Pause, Rate
from providers.kit.removal_declaration import Removal
from providers.kit.rows import rules
from providers.kit.rows.body_template import NAMES, ROWS, Body, Known
from providers.kit.rows.columns import Cells, Column, RowTemplate
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.rules import NAME, NO_PLUS, POSTAL_CODE, TRIM, When
from providers.kit.settings import CREDENTIAL, AccountSettings
from providers.kit.streamed_body import encoded
from schemas.records import AudienceType, AudienceUser

META = (
    "Meta, [Customer File Custom Audiences]"
    "(https://developers.facebook.com/documentation/ads-commerce/marketing-api/audiences/guides/custom-audiences)"
)
EXTERN_ID = Column("EXTERN_ID", "edgeTagId", (TRIM,), hashed="text")
EMAIL = Column("EMAIL", "email", (rules.EMAIL,), "sha256")
PHONE = Column("PHONE", "phone", (rules.PHONE, NO_PLUS), "sha256")
FN = Column("FN", "firstName", (NAME,), "sha256")
LN = Column("LN", "lastName", (NAME,), "sha256")
COUNTRY = Column("COUNTRY", "country", (rules.COUNTRY,), "sha256")
ZIP = Column("ZIP", "postalCode", (POSTAL_CODE,), "sha256")


def lookalike_value(user: AudienceUser, settings: "FacebookSettings") -> float | Rejection:
    """Return a customer's value: 0 where there is none or it is no number from 0; never of another currency."""
    purchase = user.purchase
    if purchase is None:
        return 0
    amount = purchase.profit if settings.value_from == "profit" else purchase.total_7_days
    if amount is None or not math.isfinite(amount) or amount <= 0:
        return 0
    if (purchase.currency or "").strip().upper() != settings.value_currency:
        return Rejection("purchase.currency", "other_currency")
    return amount


VALUE = Column(
    "LOOKALIKE_VALUE",
    "purchase",
    value=lookalike_value,
    says="`profit` or `total7Days` as a number from 0, else 0; who has another currency is rejected",
    is_identifier=False,
    when=When(setting="value_from"),
)
FIELDS: Mapping[str, str] = {
    column.name: column.field for column in (EXTERN_ID, EMAIL, PHONE, FN, LN, COUNTRY, ZIP) if column.field
}
"""Columns by which somebody may be known, and our fields."""

PAGE = 100
SESSION_BITS = 63
Cell = str | float
T = TypeVar("T")


class FacebookSettings(AccountSettings):
    """An ad account of Meta."""

    base_url: str = Field(
        default="https://graph.facebook.com",
        description="Where Meta's Graph API is; its version comes behind.",
    )
    access_token: SecretStr = Field(
        description="Token of a system user with ads_management.", examples=["TOKEN"], json_schema_extra=CREDENTIAL
    )
    ad_account_id: Annotated[str, Field(pattern=r"^(act_)?\d+$")] = Field(
        description="Ad account, with or without act_.", examples=["1234567890"], json_schema_extra=CREDENTIAL
    )
    app_secret: SecretStr | None = Field(
        default=None, description="App secret; set, it proves each call.", json_schema_extra=CREDENTIAL
    )
    api_version: Annotated[str, Field(pattern=r"^v\d+\.\d+$")] = Field(
        default="v26.0", description="Version of the API."
    )
    customer_file_source: Literal["USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"] = (
        Field(default="USER_PROVIDED_ONLY", description="Where the customers' data comes from, shown to users.")
    )
    value_from: Literal["profit", "total7Days"] | None = Field(
        default=None, description="Part of purchase that is a customer's value; set, audiences are value-based."
    )
    value_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = Field(
        default=None, description="The one currency of values, such as EUR; customers with another are rejected."
    )

    @model_validator(mode="after")
    def _check_value(self) -> "FacebookSettings":
        if (self.value_from is None) != (self.value_currency is None):
            raise ValueError("value_from and value_currency: set both or none, as Meta takes values of one currency")
        return self


class _Entry(msgspec.Struct):
    id: str
    name: str = ""
    is_value_based: bool = False


class _Cursors(msgspec.Struct):
    after: str | None = None


class _Paging(msgspec.Struct):
    cursors: _Cursors = msgspec.field(default_factory=_Cursors)
    next: str | None = None


class _Page(msgspec.Struct):
    data: list[_Entry]
    paging: _Paging = msgspec.field(default_factory=_Paging)


class _Made(msgspec.Struct):
    id: str


class Facebook(Provider[FacebookSettings, list[Cell]]):
    """An ad account. Meta says at once how many entries are malformed, with samples, and never whom it knows."""

    name: ClassVar[str] = "facebook"
    settings_type = FacebookSettings
    limits = Limits(rows=10_000, body=8_000_000)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = dict.fromkeys(("find", "create", "upload", "remove"), ())
    codes = CODES
    template = RowTemplate(
        row=Cells(EXTERN_ID, EMAIL, PHONE, FN, LN, COUNTRY, ZIP, VALUE),
        usable=[[EXTERN_ID], [EMAIL], [PHONE], [FN, LN, COUNTRY, ZIP]],
        rejects=[EMAIL, PHONE],
        source=META,
    )
    removal = Removal(says="`DELETE /<audience id>/users`, in a session as an upload's", source=META)
    body = Body(shape={"payload": {"schema": NAMES, "data": ROWS}, "session": Known("session")})
    """A call is a session of its own."""

    @property
    def account_id(self) -> str:
        """The ad account's number."""
        return self.settings.ad_account_id.removeprefix("act_")

    async def find_audience(self, platform_name: str) -> str | None:
        """Page through the account's audiences; of several with this name take the one with the smallest id.

        An audience is value-based from its creation on or never: where all of this name are of the other kind,
        raises RejectError(`audience_kind`).
        """
        named = [entry async for entry in self._audiences() if entry.name == platform_name]
        usable = [entry.id for entry in named if entry.is_value_based == bool(self.settings.value_from)]
        if named and not usable:
            raise platform_error("audience_kind")
        return min(usable, key=_by_number, default=None)

    async def _audiences(self) -> AsyncIterator[_Entry]:
        query = {"fields": "id,name,is_value_based", "limit": str(PAGE)}
        while True:
            try:
                page = await self._call("find", "GET", f"{self._account}/customaudiences", _Page, query=query)
            except TooMuchError:
                if query["limit"] == "1":
                    raise
                query["limit"] = str(int(query["limit"]) // 2)
                continue
            for entry in page.data:
                yield entry
            after = page.paging.cursors.after
            if page.paging.next is None or after is None or after == query.get("after"):
                return
            query["after"] = after

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Create a custom audience; Meta documents no separate kind for `primary`."""
        del audience_type
        body: dict[str, object] = {
            "name": platform_name,
            "subtype": "CUSTOM",
            "customer_file_source": self.settings.customer_file_source,
        }
        if self.settings.value_from:
            body["is_value_based"] = True
        return (await self._call("create", "POST", f"{self._account}/customaudiences", _Made, body=body)).id

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Add rows in a session of their own, which satisfies every rule of sessions whatever the order."""
        received = await self._in_session("upload", "POST", audience_id, rows, self.maker.columns)
        rejected, unplaced = refused_rows(received, rows, self.maker.columns)
        return Sent(rejected=rejected, unplaced=unplaced, request_ids=received.request_ids)

    async def remove(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Removed:
        """Take people out, in a session of their own; Meta says which rows are malformed, never who was in it."""
        received = await self._in_session("remove", "DELETE", audience_id, rows, self.removal_maker.columns)
        rejected, unplaced = refused_rows(received, rows, self.removal_maker.columns)
        return Removed(rejected=rejected, unplaced=unplaced, request_ids=received.request_ids)

    async def _in_session(
        self, operation: str, method: str, audience_id: str, rows: Sequence[msgspec.Raw], columns: Sequence[Column]
    ) -> Received:
        session = {
            "session_id": self.around.randbits(SESSION_BITS) or 1,
            "batch_seq": 1,
            "last_batch_flag": True,
            "estimated_num_total": len(rows),
        }
        body = await self.body.around(rows, names=[column.name for column in columns], session=session)
        path = f"/{self.settings.api_version}/{audience_id}/users"
        return await self._call(operation, method, path, Received, body=body)

    @property
    def _account(self) -> str:
        return f"/{self.settings.api_version}/act_{self.account_id}"

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> T:
        token = self.settings.access_token.get_secret_value()
        request = Request(
            operation=operation,
            method=method,
            path=path,
            query={**(query or {}), **self._proof(token)},
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            body=encoded(body),
            secrets=("Authorization", "appsecret_proof"),
        )
        answer = await self.transport.send(request)
        decoded = answer.json_object()
        if "error" in decoded or answer.status >= 400:
            raise refusal(answer, decoded.get("error"), operation)
        return answer.read(kind)

    def _proof(self, token: str) -> dict[str, str]:
        secret = self.settings.app_secret
        if secret is None:
            return {}
        digest = hmac.new(secret.get_secret_value().encode(), token.encode(), hashlib.sha256)
        return {"appsecret_proof": digest.hexdigest()}

    @classmethod
    def pause_after(cls, answer: Answer) -> Pause | None:
        """Spread calls when a usage header nears 100 percent, as Meta then refuses for up to an hour."""
        return pause_by_usage(answer.headers)

    @classmethod
    def warning_in(cls, answer: Answer) -> str | None:
        """Tell of a version that has ended and is served by a newer one for now."""
        return "api_version_ended" if VERSION_WARNING in answer.headers else None


def _by_number(text: str) -> tuple[int, str]:
    return (int(text) if text.isdecimal() else 0, text)
