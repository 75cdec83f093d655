"""Meta's Custom Audiences as the sandbox plays them."""

import base64
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sandbox.control import Fault
from sandbox.credentials import CREDENTIALS
from sandbox.platform import HASH, Refusal, Route, Surroundings, decode, html_answer, json_answer, trace
from sandbox.store import Audience, digits

PLAIN_COLUMNS = frozenset({"EXTERN_ID", "MADID", "APPUID", "PAGEUID", "LOOKALIKE_VALUE"})
COLUMNS = PLAIN_COLUMNS | {
    "EMAIL", "PHONE", "GEN", "DOBY", "DOBM", "DOBD", "LN", "FN", "FI", "CT", "ST", "ZIP", "COUNTRY",
}  # fmt: skip
MAX_ROWS = 10_000
MAX_AUDIENCES = 500
SESSION_SECONDS = 90 * 60
SOURCES = frozenset({"USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"})

# What each fault says: HTTP status, code, subcode.
FAULTS: Mapping[str, tuple[int, int, int | None]] = {
    "throttled": (400, 80003, 2446079),
    "auth": (400, 190, 463),
    "terms": (403, 200, 1870090),
    "server_error": (500, 2, None),
    "not_found": (400, 100, 33),
    "invalid": (400, 100, None),
}


class Facebook:
    """Handlers of the calls, and upload sessions that are open."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._sessions: dict[tuple[str, int], dict[str, Any]] = {}

    def routes(self) -> list[Route]:
        """Return the calls that are played."""
        version = r"/facebook/{version:v\d+\.\d+}"
        return [
            Route("GET", version + r"/act_{account:\d+}/customaudiences", "find", self.find),
            Route("POST", version + r"/act_{account:\d+}/customaudiences", "create", self.create),
            Route("GET", version + r"/{audience:\d+}", "find", self.look),
            Route("POST", version + r"/{audience:\d+}/users", "upload", self.upload),
            Route("DELETE", version + r"/{audience:\d+}/users", "upload", self.remove),
        ]

    async def find(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """List audiences by pages."""
        await self._enter(request, fault)
        audiences = self._around.store.listed(request.match_info["account"], self._now() - self._lag())
        limit = _whole(request.query.get("limit", "25"))
        if limit < 1:
            raise _error(400, 100)
        start = _place(request.query.get("after"))
        page = audiences[start : start + limit]
        fields = request.query.get("fields", "id").split(",")
        body: dict[str, Any] = {"data": [_shown(audience, fields) for audience in page]}
        if page:
            cursors = {"before": _cursor(start), "after": _cursor(start + len(page))}
            body["paging"] = {"cursors": cursors}
            if start + limit < len(audiences):
                body["paging"]["next"] = str(request.url.update_query(after=cursors["after"]))
        return self._answer(body)

    async def create(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Make an audience; names may repeat."""
        form = await self._enter(request, fault)
        account, store = request.match_info["account"], self._around.store
        if not form.get("name") or form.get("customer_file_source") not in SOURCES:
            raise _error(400, 100)
        if len(list(store.chosen(None, account))) >= MAX_AUDIENCES:
            raise _error(400, 100, 1713098)
        audience = store.create(digits(17), str(form["name"]), account, self._now())
        audience.options["is_value_based"] = form.get("is_value_based") in (True, 1, "true", "1")
        return self._answer({"id": audience.id})

    async def look(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Show one audience."""
        await self._enter(request, fault)
        return self._answer(_shown(self._audience(request), request.query.get("fields", "id").split(",")))

    async def upload(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Add rows."""
        form = await self._enter(request, fault)
        audience = self._audience(request)
        schema, rows = _payload(form, audience)
        session = self._session(form, audience, schema, len(rows))
        valid = [row for row in rows if _is_valid(schema, row)]
        if fault is not None and fault.fault == "partial":
            valid = valid[1:]
        keep = [place for place, column in enumerate(schema) if column != "LOOKALIKE_VALUE"]
        audience.members.update(tuple(str(row[place]) for place in keep if row[place] != "") for row in valid)
        invalid = [row for row in rows if row not in valid] if len(valid) < len(rows) else []
        return self._answer(
            {
                "audience_id": audience.id,
                "session_id": str(session),
                "num_received": self._sessions[audience.id, session]["received"],
                "num_invalid_entries": len(rows) - len(valid),
                "invalid_entry_samples": {str(row): "invalid" for row in invalid[:100]},
            }
        )

    async def remove(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Remove rows."""
        form = await self._enter(request, fault)
        audience = self._audience(request)
        _, rows = _payload(form, audience)
        audience.members.difference_update(tuple(cell for cell in row if cell != "") for row in rows)
        return self._answer({"audience_id": audience.id, "num_received": len(rows), "num_invalid_entries": 0})

    async def _enter(self, request: web.Request, fault: Fault | None) -> Mapping[str, Any]:
        """Check the token and play the fault; return the body's fields."""
        form = await _form(request)
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        token = bearer or request.query.get("access_token") or form.get("access_token")
        if token != CREDENTIALS["facebook"]["FACEBOOK_ACCESS_TOKEN"]:
            raise _error(401, 190, None)
        if fault is not None and fault.fault == "html":
            raise web.HTTPBadGateway(text=html_answer().text, content_type="text/html")
        if fault is not None and fault.fault in FAULTS:
            raise _error(*FAULTS[fault.fault], wait=fault.seconds)
        return form

    def _audience(self, request: web.Request) -> Audience:
        found = self._around.store.audiences.get(request.match_info["audience"])
        if found is None:
            raise _error(400, 100, 33)
        return found

    def _session(self, form: Mapping[str, Any], audience: Audience, schema: list[str], rows: int) -> int:
        """Check the session's rules and count the rows in it; return its id."""
        given = form.get("session")
        if not isinstance(given, dict):
            raise _error(400, 100)
        number, sequence = _whole(given.get("session_id")), _whole(given.get("batch_seq"))
        if not 0 < number < 2**63 or sequence < 1:
            raise _error(400, 100)
        known = self._sessions.get((audience.id, number))
        if known is None:
            known = {"since": self._now(), "schema": schema, "next": 1, "received": 0, "is_over": False}
            self._sessions[audience.id, number] = known
        if known["is_over"] or self._now() - known["since"] > SESSION_SECONDS:
            raise _error(400, 2650, 1870159 if known["is_over"] else 1870158)
        if sequence != known["next"]:
            raise _error(400, 2650, 1870147)
        if schema != known["schema"]:
            raise _error(400, 100)
        known["next"] += 1
        known["received"] += rows
        known["is_over"] = bool(given.get("last_batch_flag"))
        return number

    def _now(self) -> float:
        return self._around.options.clock()

    def _lag(self) -> float:
        return self._around.options.listing_lag

    def _answer(self, body: object) -> web.Response:
        return json_answer(body, headers=_usage(0) | {"x-fb-trace-id": trace()})


def _payload(form: Mapping[str, Any], audience: Audience) -> tuple[list[str], list[list[Any]]]:
    payload = form.get("payload")
    schema = payload.get("schema") if isinstance(payload, dict) else None
    rows = payload.get("data") if isinstance(payload, dict) else None
    if not isinstance(schema, list) or not isinstance(rows, list) or not rows or len(rows) > MAX_ROWS:
        raise _error(400, 100)
    if not schema or len(set(schema)) != len(schema) or not COLUMNS.issuperset(schema):
        raise _error(400, 100)
    if any(not isinstance(row, list) or len(row) != len(schema) for row in rows):
        raise _error(400, 100)
    if ("LOOKALIKE_VALUE" in schema) != bool(audience.options.get("is_value_based")):
        raise _error(400, 100)
    return schema, rows


def _is_valid(schema: list[str], row: list[Any]) -> bool:
    cells = zip(schema, row, strict=True)
    hashed = [cell for column, cell in cells if column not in PLAIN_COLUMNS and cell != ""]
    return any(cell != "" for cell in row) and all(isinstance(c, str) and HASH.fullmatch(c) for c in hashed)


def _shown(audience: Audience, fields: list[str]) -> dict[str, Any]:
    known = {"name": audience.name, "is_value_based": audience.options.get("is_value_based", False)}
    return {"id": audience.id} | {name: known[name] for name in fields if name in known}


async def _form(request: web.Request) -> dict[str, Any]:
    """Return the body's fields, be it one JSON object or a form of JSON strings."""
    if not request.can_read_body:
        return {}
    if request.content_type == "application/json":
        body = decode(await request.read())
        return body if isinstance(body, dict) else {}
    return {name: _loose(str(value)) for name, value in (await request.post()).items()}


def _loose(text: str) -> Any:
    found = decode(text.encode())
    return found if isinstance(found, dict | list) else text


def _whole(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return -1


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode()


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor))
    except ValueError:
        raise _error(400, 100) from None


def _usage(minutes: float) -> dict[str, str]:
    percent = 100 if minutes else 1
    return {
        "X-Business-Use-Case-Usage": (
            f'{{"1":[{{"type":"custom_audience","call_count":{percent},"total_cputime":1,"total_time":1,'
            f'"estimated_time_to_regain_access":{minutes:g},"ads_api_access_tier":"standard_access"}}]}}'
        )
    }


def _error(status: int, code: int, subcode: int | None = None, wait: float | None = None) -> Refusal:
    """Return an error as Meta words it; its text quotes what was sent, as the real one's may."""
    body = {
        "message": f"(#{code}) Sandbox refuses person@example.com",
        "type": "OAuthException",
        "code": code,
        "is_transient": False,
        "fbtrace_id": trace(),
    }
    if subcode is not None:
        body["error_subcode"] = subcode
    minutes = (wait or 1) / 60 if code == 80003 else 0
    return Refusal({"error": body}, status, _usage(minutes))
