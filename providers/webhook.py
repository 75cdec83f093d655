"""Webhook: users as signed JSON to a URL of your own, in the form of the Standard Webhooks specification."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, SecretStr, field_validator, model_validator

from providers.kit.call_limits import Limits
from providers.kit.call_outcome import Removed, Sent
from providers.kit.current_record import record_id
from providers.kit.errors import platform_error
from providers.kit.http import Request, Transport
from providers.kit.private_addresses import is_literal, is_public
from providers.kit.provider import REAL, Provider, Surroundings
from providers.kit.rate_limiter import Rate
from providers.kit.removal_declaration import Removal
from providers.kit.rows import rules
from providers.kit.rows.body_template import AUDIENCE_ID, ROWS, Body
from providers.kit.rows.columns import Column, RowTemplate, members
from providers.kit.rows.rules import TRIM
from providers.kit.settings import CREDENTIAL, AccountSettings
from schemas.records import AudienceType

CODES: Mapping[str, str] = {
    "400": "request_refused",
    "401": "token_invalid",
    "403": "permission_missing",
    "404": "account_not_found",
    "410": "account_blocked",
    "413": "too_much_data",
    "422": "request_refused",
    "429": "throttled",
}
"""HTTP statuses in our words; 5xx is `platform_error`, a redirect is not followed."""

BODY = 1_000_000
EDGE_TAG_ID = Column("edgeTagId", "edgeTagId", (TRIM,), hashed="text")
EMAIL = Column("email", "email", (rules.EMAIL,))
PHONE = Column("phone", "phone", (rules.PHONE,))
OTHERS = [
    Column(name, name, hashed="text", is_identifier=False)
    for name in ("firstName", "lastName", "country", "postalCode")
]
PURCHASE = Column("purchase", "purchase", is_identifier=False, is_attribute=True)
REMOVED = "audience.users.removed"
"""The event of a removal, in the form that Standard Webhooks recommends."""

WHSEC = "whsec_"


class WebhookSettings(AccountSettings):
    """A URL that takes users."""

    base_url: str = Field(
        description="URL that users are posted to.",
        examples=["https://hooks.example.com/audience"],
        json_schema_extra=CREDENTIAL,
    )
    secret: SecretStr = Field(
        description="Key of the signature: text, or whsec_ and base64.",
        examples=["SECRET"],
        json_schema_extra=CREDENTIAL,
    )
    allow_private: bool = Field(
        default=False,
        description="Let the URL lead to this machine or to a private network.",
        json_schema_extra=CREDENTIAL,
    )
    rows: Annotated[int, Field(ge=1, le=10_000)] = Field(default=500, description="Users of one call.")

    @property
    def is_confined(self) -> bool:
        """Only public addresses may be called, unless that is switched off."""
        return not self.allow_private

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, value: SecretStr) -> SecretStr:
        try:
            _key(value.get_secret_value())
        except ValueError:
            raise ValueError("expected base64 behind whsec_") from None
        return value

    @model_validator(mode="after")
    def _check_address(self) -> "WebhookSettings":
        host = urlsplit(self.base_url).hostname or ""
        if self.is_confined and is_literal(host) and not is_public(host):
            raise ValueError("base_url: leads to a private address; change it, or set allow_private")
        return self


class Webhook(Provider[WebhookSettings, dict[str, Any]]):
    """A receiver of users. It checks the signature, and takes calls of one `webhook-id` once."""

    name: ClassVar[str] = "webhook"
    settings_type = WebhookSettings
    limits = Limits(rows=500, body=BODY)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = {"upload": (), "remove": ()}
    codes = CODES
    shares_calls: ClassVar[bool] = False  # `webhook-id` is of one record, by which receivers tell a repeated call
    template = RowTemplate(
        row=members(EDGE_TAG_ID, EMAIL, PHONE, *OTHERS, PURCHASE),
        usable=[[EDGE_TAG_ID], [EMAIL], [PHONE]],
        rejects=[EMAIL, PHONE],
        source="ours; calls are signed by [Standard Webhooks](https://www.standardwebhooks.com)",
    )
    removal = Removal(
        says=f"an event of its own, `type: {REMOVED}`, with the users in `removed`",
        source="ours; an addition has no `type` and its users in `users`",
    )
    body = Body(shape={"audience": AUDIENCE_ID, "users": ROWS})
    removal_body = Body(shape={"type": REMOVED, "audience": AUDIENCE_ID, "removed": ROWS})
    """Its users stand elsewhere than an addition's, lest a receiver that knows no removals add them."""

    def __init__(self, settings: WebhookSettings, transport: Transport, around: Surroundings = REAL) -> None:
        super().__init__(settings, transport, around)
        self.limits = Limits(rows=settings.rows, body=BODY)

    @property
    def account_id(self) -> str:
        """The URL is the account."""
        return self.settings.base_url

    async def find_audience(self, platform_name: str) -> str:
        """Return the name: a receiver has every audience."""
        return platform_name

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Return the name: nothing is to be made."""
        del audience_type
        return platform_name

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Post users; `webhook-id` is the record's and the users', so that a receiver can tell a repeated call.

        Of the same users who are added, removed and added once more, each call has another one.
        """
        return Sent(request_ids=[await self._post("upload", self.body.filled(rows, audience_id=audience_id))])

    async def remove(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Removed:
        """Post who is to leave, as an event of its own."""
        return Removed(
            request_ids=[await self._post("remove", self.removal_body.filled(rows, audience_id=audience_id))]
        )

    async def _post(self, operation: str, content: object) -> str:
        """Post a body with its signature and return the call's id."""
        body = msgspec.json.encode(content)
        call_id = f"msg_{hashlib.sha256(record_id().encode() + body).hexdigest()[:32]}"
        moment = str(int(self.around.now().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "webhook-id": call_id,
            "webhook-timestamp": moment,
            "webhook-signature": signature(self.settings.secret.get_secret_value(), call_id, moment, body),
        }
        request = Request(
            operation=operation, method="POST", path="", headers=headers, body=body, secrets=("webhook-signature",)
        )
        answer = await self.transport.send(request)
        if 200 <= answer.status < 300:
            return call_id
        word = CODES.get(str(answer.status), "platform_error" if answer.status >= 500 else "unexpected_answer")
        word = "gateway_error" if "cf-mitigated" in answer.headers else word
        raise platform_error(
            word, platform_code=f"HTTP {answer.status}", request_id=call_id, wait=answer.seconds("Retry-After")
        )


def signature(secret: str, call_id: str, moment: str, body: bytes) -> str:
    """Return `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body, as Standard Webhooks defines it."""
    digest = hmac.new(_key(secret), f"{call_id}.{moment}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _key(secret: str) -> bytes:
    is_encoded = secret.startswith(WHSEC)
    return base64.b64decode(secret.removeprefix(WHSEC), validate=True) if is_encoded else secret.encode()
