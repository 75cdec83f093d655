"""TikTok's segment API as the sandbox plays it: HTTP 200 for everything, `code` decides."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sandbox.control import Fault
from sandbox.credentials import CREDENTIALS
from sandbox.platform import HASH, Refusal, Route, Surroundings, decode, html_answer, json_answer, trace
from sandbox.store import Audience, Member, digits

MAX_ROWS = 1000
MAX_BODY = 1_000_000
MAX_NAME = 70
MAX_AUDIENCES = 400
SCHEMAS = frozenset({"EMAIL_SHA256", "PHONE_SHA256", "IDFA_SHA256", "AAID_SHA256", "IDFA_MD5", "AAID_MD5"})
FAULTS: Mapping[str, int] = {
    "throttled": 40100,
    "auth": 40102,
    "terms": 40118,
    "server_error": 50000,
    "not_found": 40007,
    "invalid": 40002,
}


class TikTok:
    """Handlers of the calls."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def routes(self) -> list[Route]:
        """Return the calls that are played; every path ends with a slash."""
        version = "/tiktok/open_api/v1.3"
        return [
            Route("GET", version + "/dmp/custom_audience/list/", "find", self.find),
            Route("POST", version + "/segment/audience/", "create", self.create),
            Route("POST", version + "/segment/mapping/", "upload", self.upload),
        ]

    async def find(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """List audiences by pages, without a filter for names."""
        self._enter(request, fault)
        account, page, size = (
            request.query.get("advertiser_id", ""),
            _whole(request.query.get("page", "1")),
            _whole(request.query.get("page_size", "10")),
        )
        if not account.isdecimal() or page < 1 or not 1 <= size <= 100:
            raise _error(40002)
        options = self._around.options
        audiences = self._around.store.listed(account, options.clock() - options.listing_lag)
        shown = [_shown(audience) for audience in audiences[(page - 1) * size : page * size]]
        info = {
            "page": page,
            "page_size": size,
            "total_number": len(audiences),
            "total_page": -(-len(audiences) // size),
        }
        return _answer({"page_info": info, "list": shown})

    async def create(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Make or delete an audience; long names are shortened."""
        self._enter(request, fault)
        form = await _body(request)
        account, name = form.get("advertiser_id"), form.get("custom_audience_name")
        if form.get("action", "create") == "delete":
            self._around.store.audiences.pop(str(form.get("delete_audience_id")), None)
            return _answer({})
        if not isinstance(account, str) or not account.isdecimal() or not isinstance(name, str) or not name:
            raise _error(40002)
        if len(list(self._around.store.chosen(None, account))) >= MAX_AUDIENCES:
            raise _error(40002)
        kept = name if len(name) <= MAX_NAME else name[: MAX_NAME - 3] + "..."
        audience = self._around.store.create(digits(19), kept, account, self._around.options.clock())
        return _answer({"audience_id": audience.id})

    async def upload(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Add or delete ids."""
        self._enter(request, fault)
        form = await _body(request)
        schema, rows, accounts = form.get("id_schema"), form.get("batch_data"), form.get("advertiser_ids")
        if not isinstance(schema, list) or not isinstance(rows, list) or not isinstance(accounts, list):
            raise _error(40002)
        if len(set(schema)) != len(schema) or not schema or not SCHEMAS.issuperset(schema):
            raise _error(40002)
        if not 1 <= len(rows) <= MAX_ROWS:
            raise _error(40002)
        placed = [self._row(schema, row, accounts) for row in rows]
        if fault is not None and fault.fault == "partial":
            placed = placed[1:]
        for member, audiences in placed:
            for audience in audiences:
                act = audience.members.discard if form.get("action") == "delete" else audience.members.add
                act(member)
        if fault is not None and fault.fault == "partial":
            raise _error(20001)
        return _answer({})

    def _row(self, schema: list[str], row: object, accounts: list[Any]) -> tuple[Member, list[Audience]]:
        if not isinstance(row, list) or len(row) != len(schema):
            raise _error(40002)
        ids = [cell for cell in row if cell]
        if not ids or not all(isinstance(cell, dict) and HASH.fullmatch(str(cell.get("id"))) for cell in ids):
            raise _error(40002)
        named = {str(audience) for cell in ids for audience in cell.get("audience_ids") or ()}
        audiences = [self._around.store.audiences.get(name) for name in named]
        found = [audience for audience in audiences if audience and audience.account in accounts]
        if not named or len(found) != len(named):
            raise _error(40007)
        return tuple(cell["id"] for cell in ids), found

    def _enter(self, request: web.Request, fault: Fault | None) -> None:
        token = request.headers.get("Access-Token", "")
        if not token:
            raise _error(40104)
        if token != CREDENTIALS["tiktok"]["TIKTOK_ACCESS_TOKEN"]:
            raise _error(40105)
        if fault is not None and fault.fault == "html":
            raise web.HTTPBadGateway(text=html_answer().text, content_type="text/html")
        if fault is not None and fault.fault in FAULTS:
            raise _error(FAULTS[fault.fault])
        if self._around.exceeds("tiktok", 10, 1) is not None:
            raise _error(40100)


def _shown(audience: Audience) -> dict[str, Any]:
    return {
        "audience_id": audience.id,
        "name": audience.name,
        "audience_type": "Partner Audience",
        "cover_num": len(audience.members),
        "is_valid": True,
        "shared": False,
    }


async def _body(request: web.Request) -> dict[str, Any]:
    data = await request.read()
    body = decode(data)
    if request.content_type != "application/json" or len(data) > MAX_BODY or not isinstance(body, dict):
        raise _error(40002)
    return body


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else -1


def _answer(data: object) -> web.Response:
    return json_answer({"code": 0, "message": "OK", "request_id": trace(), "data": data})


def _error(code: int) -> Refusal:
    """Return a refusal; its text quotes what was sent, as the real one's may."""
    words = "Sandbox refuses person@example.com"
    if code == 40100:
        words = "Advertiser (1)'s QPS (11) reaches QPS limit 10 for current path"
    return Refusal({"code": code, "message": words, "request_id": trace(), "data": {}})
