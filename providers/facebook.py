"""Facebook: Meta's Customer File Custom Audiences over the Marketing API."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from pydantic import Field, SecretStr

from providers import normalise
from providers.base import Limits, Provider, Rejection, Sent
from providers.errors import PlatformError, platform_error
from providers.http import Answer, Request, Transport
from providers.pace import Rate
from providers.settings import CREDENTIAL, AccountSettings
from schemas.records import AudienceType, AudienceUser

SCHEMA = ("EXTERN_ID", "EMAIL", "PHONE", "FN", "LN", "COUNTRY", "ZIP")
"""Columns of every row; all but the first are SHA-256 of the normalised value, a missing one is empty."""

PAGE = 100

# Meta's error codes (Graph API "Handle errors", custom audience reference) in our words; a subcode goes first.
SUBCODES: Mapping[tuple[int, int], str] = {
    (100, 33): "audience_gone",
    (100, 1713098): "audience_refused",
    (100, 1713230): "audience_refused",
    (200, 1870050): "account_not_found",
    (200, 1870090): "terms_not_accepted",
    (2650, 1870144): "request_refused",
}
CODES: Mapping[int, str] = {
    1: "platform_error",
    2: "platform_error",
    3: "permission_missing",
    4: "throttled",
    10: "permission_missing",
    17: "throttled",
    100: "request_refused",
    102: "token_invalid",
    105: "request_refused",
    190: "token_invalid",
    294: "permission_missing",
    341: "throttled",
    368: "busy",
    613: "throttled",
    2650: "busy",
    2655: "terms_not_accepted",
    5000: "platform_error",
    21009: "platform_error",
    1487301: "audience_gone",
    1487366: "audience_gone",
}
THROTTLED = range(80000, 80015)
PERMISSIONS = range(200, 300)

SESSION_BITS = 63


class FacebookSettings(AccountSettings):
    """An ad account of Meta."""

    base_url: str = Field(
        default="https://graph.facebook.com",
        description="Where Meta's Graph API is; its version comes behind.",
    )
    access_token: SecretStr = Field(
        description="Token of a system user with ads_management.", json_schema_extra=CREDENTIAL
    )
    ad_account_id: Annotated[str, Field(pattern=r"^(act_)?\d+$")] = Field(
        description="Ad account, with or without act_.", json_schema_extra=CREDENTIAL
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


class Facebook(Provider[FacebookSettings, list[str]]):
    """An ad account. Uploads are answered at once; Meta matches within a day and never says whom."""

    name: ClassVar[str] = "facebook"
    settings_type = FacebookSettings
    limits = Limits(rows=10_000, body=8_000_000)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = {"find": (), "create": (), "upload": ()}

    def __init__(
        self,
        settings: FacebookSettings,
        transport: Transport,
        new_session_id: Callable[[], int] = lambda: secrets.randbits(SESSION_BITS) or 1,
    ) -> None:
        super().__init__(settings, transport)
        self._new_session_id = new_session_id
        self._account = f"/{settings.api_version}/act_{settings.ad_account_id.removeprefix('act_')}"

    def row(self, user: AudienceUser) -> list[str] | Rejection:
        """Return the cells of SCHEMA.

        Usable is a user with an external id, an e-mail address or a phone number, or with both names, country
        and postal code, which Meta matches together.
        """
        country = normalise.country(user.country) if user.country else None
        cells = [
            (user.edge_tag_id or "").strip(),
            _hashed(user.email, normalise.email),
            _hashed(user.phone, lambda text: self._phone(text, country)),
            _hashed(user.first_name, normalise.name),
            _hashed(user.last_name, normalise.name),
            _hashed(user.country, lambda _: country),
            _hashed(user.postal_code, lambda text: normalise.postal_code(text, country)),
        ]
        if any(cells[:3]) or all(cells[3:]):
            return cells
        return _why_unusable(user)

    def _phone(self, text: str, country: str | None) -> str:
        number = normalise.phone(text, country or self.settings.default_region)
        return number[1:] if number else ""

    async def find_audience(self, platform_name: str) -> str | None:
        """Page through the account's audiences; of several with this name take the one with the smallest id."""
        query = {"fields": "id,name", "limit": str(PAGE)}
        found: list[str] = []
        while True:
            page = await self._call("find", "GET", f"{self._account}/customaudiences", query=query)
            found += [entry["id"] for entry in page.get("data", ()) if entry.get("name") == platform_name]
            paging = page.get("paging", {})
            if "next" not in paging:
                return min(found, key=int, default=None)
            query = {**query, "after": paging["cursors"]["after"]}

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Create a custom audience; Meta documents no separate kind for `primary`."""
        del audience_type
        body = {
            "name": platform_name,
            "subtype": "CUSTOM",
            "customer_file_source": self.settings.customer_file_source,
        }
        made = await self._call("create", "POST", f"{self._account}/customaudiences", body=body)
        return str(made["id"])

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Add rows in a session of their own, which satisfies every rule of sessions whatever the order."""
        session = {
            "session_id": self._new_session_id(),
            "batch_seq": 1,
            "last_batch_flag": True,
            "estimated_num_total": len(rows),
        }
        body = {"payload": {"schema": SCHEMA, "data": rows}, "session": session}
        path = f"/{self.settings.api_version}/{audience_id}/users"
        answer = await self._call("upload", "POST", path, body=body)
        invalid = min(int(answer.get("num_invalid_entries", 0)), len(rows))
        return Sent(
            unplaced={Rejection(None, "refused_by_platform"): invalid} if invalid else {},
            request_ids=[str(answer["session_id"])] if "session_id" in answer else [],
        )

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> dict[str, Any]:
        token = self.settings.access_token.get_secret_value()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = Request(
            operation=operation,
            method=method,
            path=path,
            query={**(query or {}), **self._proof(token)},
            headers=headers,
            body=None if body is None else msgspec.json.encode(body),
        )
        answer = await self.transport.send(request)
        decoded = answer.json()
        if not isinstance(decoded, dict):
            raise platform_error("unexpected_answer", platform_code=f"HTTP {answer.status}")
        if "error" in decoded or answer.status >= 400:
            raise refusal(answer, decoded.get("error"))
        return decoded

    def _proof(self, token: str) -> dict[str, str]:
        secret = self.settings.app_secret
        if secret is None:
            return {}
        digest = hmac.new(secret.get_secret_value().encode(), token.encode(), hashlib.sha256)
        return {"appsecret_proof": digest.hexdigest()}


def _hashed(text: str | None, rule: Callable[[str], str | None]) -> str:
    """Return the SHA-256 of a normalised value, the value itself if it is a hash; empty stays empty."""
    if not text:
        return ""
    if given := normalise.as_hash(text):
        return given
    cleaned = rule(text)
    return normalise.sha256_hex(cleaned) if cleaned else ""


def _why_unusable(user: AudienceUser) -> Rejection:
    if user.email:
        return Rejection("email", "not_an_email")
    if user.phone:
        return Rejection("phone", "not_a_phone")
    return Rejection(None, "no_identifier")


def refusal(answer: Answer, error: object) -> PlatformError:
    """Return what an error of Meta means, by code and subcode: HTTP statuses do not tell."""
    facts = error if isinstance(error, dict) else {}
    code, subcode = facts.get("code"), facts.get("error_subcode")
    if not isinstance(code, int):
        return platform_error("platform_error", platform_code=f"HTTP {answer.status}")
    trace = facts.get("fbtrace_id")
    word = _word(code, subcode if isinstance(subcode, int) else 0, facts.get("is_transient") is True)
    return platform_error(
        word,
        platform_code=f"{code}/{subcode}" if subcode else str(code),
        request_id=trace if isinstance(trace, str) else None,
        wait=regain_seconds(answer.headers) if word == "throttled" else None,
    )


def _word(code: int, subcode: int, is_transient: bool) -> str:
    word = SUBCODES.get((code, subcode)) or CODES.get(code)
    if code in THROTTLED:
        return "throttled"
    if word is None and code in PERMISSIONS:
        word = "permission_missing"
    if is_transient and word != "throttled":
        return "platform_error"
    return word or "platform_error"


def regain_seconds(headers: Mapping[str, str]) -> float | None:
    """Return the wait that Meta asks for; its header says minutes, for each business and kind of use."""
    try:
        usage = msgspec.json.decode(headers.get("X-Business-Use-Case-Usage", ""), type=dict[str, list[dict[str, Any]]])
    except msgspec.DecodeError:
        return None
    minutes = [entry.get("estimated_time_to_regain_access", 0) for entries in usage.values() for entry in entries]
    longest = max(minutes, default=0)
    return float(longest) * 60 or None
