"""Klaviyo: lists filled by bulk profile imports, and left by profile ids that are looked up."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from pydantic import Field, SecretStr

from providers.kit.call_limits import Limits
from providers.kit.call_outcome import NamedRowsError, Removed, Sent
from providers.kit.current_record import job_ended, job_taken
from providers.kit.errors import PlatformError, RetryError, ThrottleError, platform_error
from providers.kit.http import Answer, Request
from providers.kit.provider import Provider
from providers.kit.rate_limiter import Pause, Rate
from providers.kit.removal_declaration import Removal
from providers.kit.rows import normalisers as normalise
from providers.kit.rows import rules
from providers.kit.rows.body_template import AUDIENCE_ID, ROWS, Body, of_one_kind
from providers.kit.rows.columns import Column, Hashed, RowTemplate, column_paths, members
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.rules import TRIM, VALID_PHONE, Rule, at_most
from providers.kit.settings import CREDENTIAL, AccountSettings
from providers.kit.streamed_body import encoded
from schemas.records import AudienceType


def _attribute(name: str, field: str, steps: Sequence[Rule] = ()) -> Column:
    """Return a column that says more of somebody than who it is."""
    hashed: Hashed = "refused" if steps else "text"
    return Column(name, field, steps, hashed=hashed, is_identifier=False, is_attribute=True)


KIND = "application/vnd.api+json"
JOBS = "/api/profile-bulk-import-jobs"
POLLS = 200
"""Looks at a job before it counts as stuck; with the waits below some fifteen minutes."""

LONGEST_POLL = 5.0
ENDS = frozenset({"complete", "cancelled"})
"""How a job stands that changes nothing any more."""

LOOKS = 5
"""Further looks where one fails, the last after some 30 seconds."""
DEFAULT_WAIT = 60.0
"""Seconds of a throttle that says nothing: the longer of Klaviyo's windows."""

# HTTP statuses in our words; Klaviyo's code strings are not documented in full.
CODES: Mapping[str, str] = {
    "400": "request_refused",
    "401": "token_invalid",
    "403": "permission_missing",
    "404": "audience_gone",
    "409": "request_refused",
    "410": "api_version_ended",
    "413": "too_much_data",
    "422": "request_refused",
    "429": "throttled",
    "500": "platform_error",
    "503": "platform_error",
    "504": "platform_error",
    "524": "platform_error",
}
EMAIL = Column("email", "email", (rules.EMAIL,), hashed="refused")
PHONE = Column("phone_number", "phone", (rules.PHONE, VALID_PHONE), hashed="refused")
EXTERNAL_ID = Column("external_id", "edgeTagId", (TRIM, at_most(255)), hashed="text")
PROFILE = {
    **members(EMAIL, PHONE, EXTERNAL_ID),
    **members(_attribute("first_name", "firstName", (TRIM,)), _attribute("last_name", "lastName", (TRIM,))),
    "location": members(_attribute("country", "country", (TRIM,)), _attribute("zip", "postalCode", (TRIM,))),
    "properties": members(
        _attribute("purchase_currency", "purchase.currency"),
        _attribute("purchase_profit", "purchase.profit"),
        _attribute("purchase_total_7_days", "purchase.total7Days"),
    ),
}
"""Attributes of a profile. A hash would show there, and empty ones are left out, as an import can't clear them."""

FIELDS: Mapping[str, str] = {path: column.field for path, column in column_paths(PROFILE) if column.field}
"""Our names of a profile's attributes, by the members that lead there."""

OF_LISTS = ("email", "phone_number")
"""What a list's profiles can be looked up by; `external_id` is none of it, so that all the account's are asked."""

MOST_IDS = 1000
"""Profiles that one call takes out of a list."""

FILTER = 6000
"""Characters of a filter as a URL has them: no limit is documented, 8 KB of a URL are usual."""

OF_AUDIENCES = frozenset({"upload", "lookup", "remove"})
"""Operations that name a list by an id of ours."""

OPT_OUT = "X-Klaviyo-Revision-Fall-Forward-Opt-Out"
"""With it a retired revision is refused with 410; else Klaviyo answers by the next one (its versioning policy)."""

GATEWAYS = frozenset({400, 401, 403, 404, 405, 409, 422})
"""Statuses that say nothing of us where something in front of Klaviyo gave them."""

_UPLOADS = (Rate(10, 1), Rate(150, 60))

_POINTER = re.compile(
    r"#?(?:/?data)?(?:/?attributes)?/?profiles(?:/data)?/(?P<place>[0-9]{1,9})(?:/attributes)?(?:/(?P<inner>.*))?",
    re.DOTALL,
)

T = TypeVar("T")


class KlaviyoSettings(AccountSettings):
    """An account of Klaviyo."""

    base_url: str = Field(default="https://a.klaviyo.com", description="Where Klaviyo's API is.")
    api_key: SecretStr = Field(
        description="Private key with lists and profiles, read and write.",
        examples=["KEY"],
        json_schema_extra=CREDENTIAL,
    )
    account_id: Annotated[str, Field(pattern=r"^\w+$")] | None = Field(
        default=None,
        description="The account's public id; unset: a new key counts as a new account, whose lists are looked up.",
        json_schema_extra=CREDENTIAL,
    )
    revision: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] = Field(
        default="2026-10-15", description="Revision of the API."
    )
    lookup_values: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=100, description="Identifiers of one look-up of profiles; no limit is documented."
    )
    opt_in_process: Literal["single_opt_in", "double_opt_in"] | None = Field(
        default=None, description="Opt-in of new lists; unset: the account's default."
    )


class _Entry(msgspec.Struct):
    id: str
    attributes: dict[str, Any] = {}


class _Links(msgspec.Struct):
    next: str | None = None


class _Page(msgspec.Struct):
    data: list[_Entry]
    links: _Links | None = None


class _One(msgspec.Struct):
    data: _Entry


class _Job(msgspec.Struct):
    status: str
    failed_count: int | None = None


class Klaviyo(Provider[KlaviyoSettings, dict[str, Any]]):
    """An account. Values go plain over TLS; an import is a job, at whose end Klaviyo says whom it refused, and why."""

    name: ClassVar[str] = "klaviyo"
    settings_type = KlaviyoSettings
    limits = Limits(rows=10_000, body=4_990_000, row=100_000)
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = {
        "find": (Rate(75, 1), Rate(700, 60)),
        "create": (Rate(10, 1), Rate(150, 60), Rate(150, 86_400)),
        "upload": _UPLOADS,
        "job": _UPLOADS,
        "lookup": (Rate(75, 1), Rate(750, 60)),
        "remove": (Rate(10, 1), Rate(150, 60)),
    }

    codes = CODES
    template = RowTemplate(
        row={"type": "profile", "attributes": PROFILE},
        usable=[[EMAIL], [PHONE], [EXTERNAL_ID]],
        rejects=[EMAIL, PHONE, EXTERNAL_ID],
        source="Klaviyo, [Bulk import profiles](https://developers.klaviyo.com/en/reference/bulk_import_profiles)",
    )
    removal = Removal(
        says="a look-up of their profiles, then `DELETE /api/lists/<list id>/relationships/profiles`",
        source="Klaviyo, [Remove profiles from list](https://developers.klaviyo.com/en/reference/remove_profiles_from_list)",
        template=RowTemplate(
            row=members(EMAIL, PHONE, EXTERNAL_ID),
            usable=[[EMAIL], [PHONE], [EXTERNAL_ID]],
            rejects=[EMAIL, PHONE, EXTERNAL_ID],
            source="Klaviyo, [Get profiles for list](https://developers.klaviyo.com/en/reference/get_profiles_for_list)",
        ),
        limits=Limits(rows=MOST_IDS, body=1_000_000),
    )
    body = Body(
        shape={
            "data": {
                "type": "profile-bulk-import-job",
                "attributes": {"profiles": {"data": ROWS}},
                "relationships": {"lists": {"data": [{"type": "list", "id": AUDIENCE_ID}]}},
            }
        }
    )

    @property
    def account_id(self) -> str:
        """The account's id where it is set, else a fingerprint of the key, from which the key can't be told."""
        key = self.settings.api_key.get_secret_value()
        return self.settings.account_id or normalise.sha256_hex(f"klaviyo account {key}")[:16]

    async def find_audience(self, platform_name: str) -> str | None:
        """Ask for lists of this name; of several take the first by id."""
        query = {"filter": f"equals(name,{_quoted(platform_name)})", "page[size]": "10"}
        entries = [entry async for entry in self._entries("find", "/api/lists", query)]
        return min((entry.id for entry in entries if entry.attributes.get("name") == platform_name), default=None)

    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Create a list, of either type; Klaviyo allows 150 a day."""
        del audience_type
        attributes = {"name": platform_name}
        if self.settings.opt_in_process:
            attributes["opt_in_process"] = self.settings.opt_in_process
        body = {"data": {"type": "list", "attributes": attributes}}
        return (await self._call("create", "POST", "/api/lists", _One, body=body)).data.id

    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Import profiles into the list, wait for the job's end and ask what it could not take."""
        body = await self.body.around(rows, audience_id=audience_id)
        job = (await self._call("upload", "POST", JOBS, _One, body=body)).data.id
        await job_taken(job)
        failed = min(await self._wait_for(job), len(rows))
        return await self._outcome(job, failed, len(rows)) if failed > 0 else Sent(request_ids=[job])

    async def remove(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Removed:
        """Look up whose identifiers these are, then take their profiles out of the list; consent stays as it is.

        An external id is looked up in the whole account, so who is known by that alone may be in the list or not. A
        profile is never unsubscribed: who is not in the list would be so everywhere (Klaviyo's own warning).
        """
        in_list = [await self._known_by(name, rows, f"/api/lists/{audience_id}/profiles") for name in OF_LISTS]
        in_account = await self._known_by(EXTERNAL_ID.name, rows, "/api/profiles")
        members_of_it = dict.fromkeys(profile for found in in_list for profile in found)
        ids = iter({**members_of_it, **in_account})
        while some := list(islice(ids, MOST_IDS)):
            await self._take_out(audience_id, some)
        return Removed(removed=len(members_of_it) if in_account.keys() <= members_of_it.keys() else None)

    async def _known_by(self, name: str, rows: Sequence[msgspec.Raw], path: str) -> dict[str, None]:
        """Return the ids of the profiles that have one of the rows' identifiers of a kind, each once."""
        values = [msgspec.json.decode(value, type=str) for _, value in of_one_kind(rows, name)]
        found: dict[str, None] = {}
        for text in _filters(name, values, self.settings.lookup_values):
            query = {"filter": text, "fields[profile]": "created", "page[size]": "100"}
            found |= dict.fromkeys([entry.id async for entry in self._entries("lookup", path, query)])
        return found

    async def _take_out(self, audience_id: str, ids: Sequence[str]) -> None:
        body = {"data": [{"type": "profile", "id": profile} for profile in ids]}
        answer = await self._ask("remove", "DELETE", f"/api/lists/{audience_id}/relationships/profiles", body=body)
        if answer.status != 204:
            raise answer.unexpected()

    @classmethod
    def placeholder_answer(cls, request: Request) -> Answer | None:
        """Return a profile as a look-up would, with a placeholder for its id."""
        found = b'{"data":[{"type":"profile","id":"{profile_id}"}]}'
        return Answer(status=200, headers={}, body=found) if request.operation == "lookup" else None

    async def _wait_for(self, job: str) -> int:
        """Look until the job has ended; no slot is held between looks. Return how many profiles it refused."""
        wait = 0.2
        for _ in range(POLLS):
            await self.around.sleep(wait)
            wait = min(wait * 1.5, LONGEST_POLL)
            shown = await self._again(lambda: self._job(job))
            if shown.status in ENDS:
                await job_ended(job)
            if shown.status == "complete":
                return shown.failed_count or 0
            if shown.status == "cancelled":
                raise platform_error("platform_error", platform_code="cancelled", request_id=job)
        raise platform_error("busy", platform_code="job not complete", request_id=job)

    async def has_ended(self, job_id: str) -> bool:
        """Ask for an import; of one that is not known any more nothing is to come."""
        try:
            return (await self._job(job_id)).status in ENDS
        except PlatformError as error:
            if error.platform_code == "HTTP 404" and error.code != "gateway_error":
                return True
            raise

    async def _again(self, look: Callable[[], Awaitable[T]]) -> T:
        """Look, and look again where that fails: it is no reason to import everything once more."""
        wait = 0.5
        for _ in range(LOOKS):
            try:
                return await look()
            except (RetryError, ThrottleError) as error:
                await self.around.sleep(max(wait, error.wait or 0.0))
                wait *= 2
        return await look()

    async def _job(self, job: str) -> _Job:
        entry = (await self._call("job", "GET", f"{JOBS}/{job}", _One)).data
        try:
            return msgspec.convert(entry.attributes, _Job)
        except msgspec.ValidationError:
            raise platform_error("unexpected_answer", request_id=job) from None

    async def _outcome(self, job: str, failed: int, rows: int) -> Sent:
        """Return which profiles a job could not take; where it does not say, how many."""

        async def errors() -> list[_Entry]:
            path, query = f"{JOBS}/{job}/import-errors", {"page[size]": "100"}
            return [entry async for entry in self._entries("job", path, query)]

        found: dict[int, Rejection] = {}
        for entry in await self._again(errors):
            place = place_of_error(entry.attributes)
            if place and place[0] < rows and len(found) < failed:
                found.setdefault(*place)
        missing = failed - len(found)
        unplaced = {Rejection(None, "refused_by_platform"): missing} if missing else {}
        return Sent(rejected=found, unplaced=unplaced, request_ids=[job])

    async def _entries(self, operation: str, path: str, query: Mapping[str, str]) -> AsyncIterator[_Entry]:
        """Yield the entries of all pages, going by the cursor and never to another host."""
        cursor: str | None = None
        while True:
            asked = query if cursor is None else {**query, "page[cursor]": cursor}
            page = await self._call(operation, "GET", path, _Page, query=asked)
            for entry in page.data:
                yield entry
            following = page.links.next if page.links else None
            cursors = parse_qs(urlsplit(following).query).get("page[cursor]", []) if following else []
            if not cursors or cursors[0] == cursor:
                return
            cursor = cursors[0]

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
        return (await self._ask(operation, method, path, query=query, body=body)).read(kind)

    async def _ask(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        headers = {
            "Authorization": f"Klaviyo-API-Key {self.settings.api_key.get_secret_value()}",
            "revision": self.settings.revision,
            OPT_OUT: "1",
            "Accept": KIND,
            "Content-Type": KIND,
        }
        request = Request(
            operation=operation,
            method=method,
            path=path,
            query=query or {},
            headers=headers,
            body=encoded(body),
            secrets=("Authorization",),
        )
        answer = await self.transport.send(request)
        if answer.status >= 400:
            raise refusal(answer, operation)
        return answer

    @classmethod
    def pause_after(cls, answer: Answer) -> Pause | None:
        """Leave an endpoint alone when its minute is used up, or for as long as a refusal says.

        Every answer but a refusal tells what is left of the steady limit (Klaviyo's rate limit page).
        """
        if answer.status == 429:
            return Pause(answer.seconds("Retry-After") or DEFAULT_WAIT, is_account_wide=False)
        if answer.seconds("RateLimit-Remaining") == 0:
            return Pause(answer.seconds("RateLimit-Reset") or 0.0, is_account_wide=False)
        return None


def _quoted(text: str) -> str:
    """Return a text as a filter has it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _filters(name: str, values: Iterable[str], most: int) -> Iterator[str]:
    """Yield filters that together ask for each value once, each for at most so many and no longer than a URL may be."""
    some: list[str] = []
    length = 0
    for value in map(_quoted, dict.fromkeys(values)):
        cost = len(quote(value, safe="")) + len("%2C")
        if some and (len(some) == most or length + cost > FILTER):
            yield f"any({name},[{','.join(some)}])"
            some, length = [], 0
        some.append(value)
        length += cost
    if some:
        yield f"any({name},[{','.join(some)}])"


def refusal(answer: Answer, operation: str) -> PlatformError:
    """Return what an error of Klaviyo means, by its status, and where it names profiles of an import, which."""
    word = _word(answer, operation)
    faults = _faults(answer)
    request_id = next((fault["id"] for fault in faults if isinstance(fault.get("id"), str)), None)
    platform_code = f"HTTP {answer.status}"
    named = _named(faults) if word == "request_refused" and operation == "upload" else {}
    if named:
        return NamedRowsError(word, rejected=named, platform_code=platform_code, request_id=request_id)
    return platform_error(
        word,
        platform_code=platform_code,
        request_id=request_id,
        wait=answer.seconds("Retry-After"),
        operation=operation if word == "throttled" else None,
    )


def _word(answer: Answer, operation: str) -> str:
    word = CODES.get(str(answer.status), "platform_error" if answer.status >= 500 else "request_refused")
    if answer.status in GATEWAYS and answer.is_gateways:
        return "gateway_error"
    if word == "platform_error" and not answer.body.lstrip().startswith(b"{"):
        return "gateway_error"
    if word == "audience_gone" and operation not in OF_AUDIENCES:
        return "unexpected_answer"
    return word


def _faults(answer: Answer) -> list[dict[str, Any]]:
    """Return the errors that an answer lists."""
    try:
        listed = answer.json_object().get("errors")
    except PlatformError:
        return []
    return [fault for fault in listed if isinstance(fault, dict)] if isinstance(listed, list) else []


def _named(faults: Iterable[Mapping[str, Any]]) -> dict[int, Rejection]:
    """Return the profiles that errors name, each with the first of its errors that names a field, if any does."""
    found: dict[int, Rejection] = {}
    for place in filter(None, map(place_of_error, faults)):
        known = found.get(place[0])
        if known is None or known.field is None:
            found[place[0]] = place[1]
    return found


def place_of_error(error: Mapping[str, Any]) -> tuple[int, Rejection] | None:
    """Return the position and what is wrong there, from `/data/attributes/profiles/data/3/attributes/email`.

    The pointer's form is not documented beyond examples, so the parts before `profiles` may be others, and a pointer
    may end at the profile or go deeper into one of its attributes.
    """
    source = error.get("source")
    pointer = source.get("pointer") if isinstance(source, dict) else None
    found = _POINTER.fullmatch(pointer) if isinstance(pointer, str) else None
    if found is None:
        return None
    parts = (found["inner"] or "").split("/")
    field = FIELDS.get(f"/{parts[0]}") or FIELDS.get("/" + "/".join(parts[:2]))
    return int(found["place"]), Rejection(field, "refused_by_platform")
