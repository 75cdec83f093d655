"""Klaviyo: lists filled by bulk profile imports."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import parse_qs, urlsplit

import msgspec
from pydantic import Field, SecretStr

from providers import normalise
from providers.base import Limits, Provider, Rejection, Sent
from providers.errors import PlatformError, platform_error
from providers.http import Answer, Request, Transport
from providers.pace import Rate
from providers.settings import CREDENTIAL, AccountSettings
from schemas.records import AudienceType, AudienceUser, Purchase

KIND = "application/vnd.api+json"
JOBS = "/api/profile-bulk-import-jobs"
MAX_EXTERNAL_ID = 255
POLLS = 200
"""Looks at a job before it counts as stuck; with the waits below some fifteen minutes."""

LONGEST_POLL = 5.0

# HTTP statuses in our words; Klaviyo's code strings are not documented in full.
STATUSES: Mapping[int, str] = {
    400: "request_refused",
    401: "token_invalid",
    403: "permission_missing",
    404: "audience_gone",
    409: "request_refused",
    413: "request_refused",
    422: "request_refused",
    429: "throttled",
}
FIELDS: Mapping[str, str] = {
    "email": "email",
    "phone_number": "phone",
    "external_id": "edgeTagId",
    "first_name": "firstName",
    "last_name": "lastName",
}
"""Our names of a profile's attributes."""

_UPLOADS = (Rate(10, 1), Rate(150, 60))


class KlaviyoSettings(AccountSettings):
    """An account of Klaviyo."""

    base_url: str = Field(default="https://a.klaviyo.com", description="Where Klaviyo's API is.")
    api_key: SecretStr = Field(
        description="Private key with lists and profiles, read and write.", json_schema_extra=CREDENTIAL
    )
    revision: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] = Field(
        default="2026-10-15", description="Revision of the API."
    )
    opt_in_process: Literal["single_opt_in", "double_opt_in"] | None = Field(
        default=None, description="Opt-in of new lists; unset: the account's default."
    )


class Klaviyo(Provider[KlaviyoSettings, dict[str, Any]]):
    """An account. Values go plain over TLS; an import is a job, which `send` sees to its end."""

    name: ClassVar[str] = "klaviyo"
    settings_type = KlaviyoSettings
    limits = Limits(rows=10_000, body=4_990_000, row=100_000)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = {
        "find": (Rate(75, 1), Rate(700, 60)),
        "create": (Rate(10, 1), Rate(150, 60), Rate(150, 86_400)),
        "upload": _UPLOADS,
        "job": _UPLOADS,
    }

    def __init__(
        self,
        settings: KlaviyoSettings,
        transport: Transport,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(settings, transport)
        self._sleep = sleep

    def row(self, user: AudienceUser) -> dict[str, Any] | Rejection:
        """Return a profile; empty fields are left out, as an import can't clear them."""
        identifiers = {
            "email": _plain_email(user.email),
            "phone_number": self._phone(user),
            "external_id": _external_id(user.edge_tag_id),
        }
        if not any(identifiers.values()):
            return _why_unusable(user)
        location = _filled({"country": _text(user.country), "zip": _text(user.postal_code)})
        attributes = {
            **identifiers,
            "first_name": _text(user.first_name),
            "last_name": _text(user.last_name),
            "location": location,
            "properties": _properties(user.purchase) if user.purchase else {},
        }
        return {"type": "profile", "attributes": _filled(attributes)}

    def _phone(self, user: AudienceUser) -> str | None:
        if not user.phone or normalise.as_hash(user.phone):
            return None
        country = normalise.country(user.country) if user.country else None
        number = normalise.phone(user.phone, country or self.settings.default_region)
        return number if number and normalise.is_valid_phone(number) else None

    async def find_audience(self, platform_name: str) -> str | None:
        """Ask for lists of this name; of several take the first by id."""
        escaped = platform_name.replace("\\", "\\\\").replace('"', '\\"')
        query = {"filter": f'equals(name,"{escaped}")', "page[size]": "10"}
        entries = await self._pages("find", "/api/lists", query)
        return min((entry["id"] for entry in entries if entry["attributes"]["name"] == platform_name), default=None)

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Create a list, of either type; Klaviyo allows 150 a day."""
        del audience_type
        attributes = _filled({"name": platform_name, "opt_in_process": self.settings.opt_in_process})
        body = {"data": {"type": "list", "attributes": attributes}}
        made = await self._call("create", "POST", "/api/lists", body=body)
        return str(made["data"]["id"])

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Import profiles into the list, wait for the job's end and ask what it could not take."""
        lists = {"lists": {"data": [{"type": "list", "id": audience_id}]}}
        data = {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": rows}},
            "relationships": lists,
        }
        made = await self._call("upload", "POST", JOBS, body={"data": data})
        job = str(made["data"]["id"])
        failed = await self._wait_for(job)
        return await self._outcome(job, failed) if failed else Sent(request_ids=[job])

    async def _wait_for(self, job: str) -> int:
        """Look until the job has ended; no slot is held between looks. Return how many profiles it refused."""
        wait = 0.2
        for _ in range(POLLS):
            await self._sleep(wait)
            wait = min(wait * 1.5, LONGEST_POLL)
            shown = (await self._call("job", "GET", f"{JOBS}/{job}"))["data"]["attributes"]
            if shown["status"] == "complete":
                return int(shown.get("failed_count") or 0)
            if shown["status"] == "cancelled":
                raise platform_error("platform_error", platform_code="cancelled", request_id=job)
        raise platform_error("busy", platform_code="job not complete", request_id=job)

    async def _outcome(self, job: str, failed: int) -> Sent:
        entries = await self._pages("job", f"{JOBS}/{job}/import-errors", {"page[size]": "100"})
        pointers = [str(entry["attributes"].get("source", {}).get("pointer", "")) for entry in entries]
        rejected = dict(placed for pointer in pointers if (placed := place_of_error(pointer)))
        missing = failed - len(rejected)
        return Sent(
            rejected=rejected,
            unplaced={Rejection(None, "refused_by_platform"): missing} if missing > 0 else {},
            request_ids=[job],
        )

    async def _pages(self, operation: str, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the entries of all pages, going by the cursor and never to another host."""
        entries: list[dict[str, Any]] = []
        while True:
            page = await self._call(operation, "GET", path, query=query)
            entries += page["data"]
            following = (page.get("links") or {}).get("next")
            cursor = parse_qs(urlsplit(following).query).get("page[cursor]") if following else None
            if not cursor:
                return entries
            query = {**query, "page[cursor]": cursor[0]}

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> dict[str, Any]:
        headers = {
            "Authorization": f"Klaviyo-API-Key {self.settings.api_key.get_secret_value()}",
            "revision": self.settings.revision,
            "Accept": KIND,
            "Content-Type": KIND,
        }
        encoded = None if body is None else msgspec.json.encode(body)
        answer = await self.transport.send(
            Request(operation=operation, method=method, path=path, query=query, headers=headers, body=encoded)
        )
        if answer.status >= 400:
            raise refusal(answer, operation)
        decoded = answer.json()
        if not isinstance(decoded, dict) or "data" not in decoded:
            raise platform_error("unexpected_answer", platform_code=f"HTTP {answer.status}")
        return decoded


def refusal(answer: Answer, operation: str) -> PlatformError:
    """Return what an error of Klaviyo means, by its status."""
    word = STATUSES.get(answer.status, "platform_error" if answer.status >= 500 else "request_refused")
    if word == "audience_gone" and operation != "upload":
        word = "unexpected_answer"
    return platform_error(word, platform_code=f"HTTP {answer.status}", wait=_retry_after(answer.headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers.get("Retry-After", "")))
    except ValueError:
        return None


def place_of_error(pointer: str) -> tuple[int, Rejection] | None:
    """Return the position and what is wrong there, from `/data/attributes/profiles/data/3/attributes/email`."""
    parts = pointer.split("/")
    if parts[:5] != ["", "data", "attributes", "profiles", "data"] or not "".join(parts[5:6]).isdecimal():
        return None
    return int(parts[5]), Rejection(FIELDS.get(parts[-1]), "refused_by_platform")


def _plain_email(text: str | None) -> str | None:
    return normalise.email(text) if text and not normalise.as_hash(text) else None


def _external_id(text: str | None) -> str | None:
    trimmed = _text(text)
    return trimmed if trimmed and len(trimmed) <= MAX_EXTERNAL_ID else None


def _text(text: str | None) -> str | None:
    return text.strip() or None if text else None


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _properties(purchase: Purchase) -> dict[str, Any]:
    return _filled(
        {
            "purchase_currency": purchase.currency,
            "purchase_profit": purchase.profit,
            "purchase_total_7_days": purchase.total_7_days,
        }
    )


def _why_unusable(user: AudienceUser) -> Rejection:
    given = (("email", user.email, "not_an_email"), ("phone", user.phone, "not_a_phone"))
    for field, value, reason in given:
        if value:
            return Rejection(field, "hashed" if normalise.as_hash(value) else reason)
    return Rejection("edgeTagId", "too_long") if user.edge_tag_id else Rejection(None, "no_identifier")
