"""TikTok's segment API as the sandbox plays it: HTTP 200 for everything, `code` decides."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any

from aiohttp import web

from sandbox.kit.credentials import CREDENTIALS
from sandbox.kit.faults import Fault
from sandbox.kit.platform import (
    Call,
    LimitReached,
    Route,
    Surroundings,
    decode,
    json_answer,
    trace,
    whole,
)
from sandbox.kit.rate_limits import Limit
from sandbox.kit.store import Audience, Member, digits
from sandbox.tiktok.bulk import SoundMapping, sound_mapping
from sandbox.tiktok.errors import refused, tiktok_error
from sandbox.tiktok.rows import MAX_ROWS, is_filled, is_id, kinds_of

VERSION = "/tiktok/open_api/v1.3"
MAX_BODY = 1_000_000
MAX_NAME = 70
MAX_AUDIENCES = 400
MAX_PAGE = 100
BASIC = Limit(10, 1)
"""Queries a second of an app with basic access; taken to count by advertiser and path, as the refusal says."""

FAULTS: Mapping[str, tuple[int, str]] = {
    "auth": (40102, "Access token is expired"),
    "terms": (40118, "The app is not in the allowlist for this API"),
    "server_error": (50000, "System error"),
    "not_found": (40007, "Audience does not exist"),
    "invalid": (40002, "Invalid parameter"),
}

Form = Mapping[str, Any]

_DELETES = re.compile(rb'"action"\s*:\s*"delete"')


class TikTok:
    """Handlers of the calls."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def routes(self) -> Sequence[Route]:
        """Return the calls that are played; every path ends with a slash."""
        return (
            Route("GET", VERSION + "/dmp/custom_audience/list/", "find", self._checked(self.find)),
            Route("GET", VERSION + "/dmp/custom_audience/get/", "find", self._checked(self.look)),
            Route("POST", VERSION + "/segment/audience/", "create", self._checked(self.change)),
            Route("POST", VERSION + "/segment/mapping/", "upload", self.upload, _is_removal),
            Route("*", "/tiktok/{tail:.*}", "other", _unknown),
        )

    def refusal(self, fault: Fault) -> web.Response:
        """Return what a fault makes TikTok say."""
        if fault.fault == "throttled":
            return tiktok_error(40100, _throttled("1", fault.seconds or 1))
        return tiktok_error(*FAULTS[fault.fault])

    def dress(self, call: Call, answer: web.Response) -> None:
        """Add nothing: TikTok has no headers of its own."""

    def settle(self) -> None:
        """Nothing falls due: ids are taken at once."""

    def forget(self, account: str | None) -> None:
        """Nothing is held besides audiences."""

    def find(self, call: Call, given: Form) -> web.Response:
        """List audiences by pages; names can't be filtered. Ids that there are not are left out."""
        page, size = whole(given.get("page", 1)), whole(given.get("page_size", 10))
        if page is None or page < 1 or size is None or not 1 <= size <= MAX_PAGE:
            raise refused(40002, "page: Invalid value")
        audiences = self._around.store.listed(_account(given), self._around.listed_until())
        if "custom_audience_ids" in given:
            wanted = _ids(given)
            audiences = [audience for audience in audiences if audience.id in wanted]
        info = {
            "page": page,
            "page_size": size,
            "total_number": len(audiences),
            "total_page": -(-len(audiences) // size),
        }
        shown = [_shown(audience) for audience in audiences[(page - 1) * size : page * size]]
        return _answer({"page_info": info, "list": shown})

    def look(self, call: Call, given: Form) -> web.Response:
        """Show audiences by their ids."""
        account = _account(given)
        found = [self._owned(name, [account]) for name in _ids(given)]
        shown = [{"audience_details": _shown(audience), "audience_history": []} for audience in found]
        return _answer({"list": shown})

    def change(self, call: Call, given: Form) -> web.Response:
        """Make or delete an audience; names may repeat, long ones are shortened."""
        account, action = _account(given), given.get("action", "create")
        if action == "delete":
            audience = self._owned(given.get("delete_audience_id"), [account])
            del self._around.store.audiences[audience.id]
            return _answer({})
        name = given.get("custom_audience_name")
        if action != "create" or not isinstance(name, str) or not name:
            raise refused(40002, "custom_audience_name: Missing data for required field")
        if len(self._around.store.chosen(None, account)) >= MAX_AUDIENCES:
            raise refused(40002, "The number of audiences has reached the limit")
        kept = name if len(name) <= MAX_NAME else name[: MAX_NAME - 3] + "..."
        return _answer({"audience_id": self._around.store.create(digits(19), kept, account, self._around.now()).id})

    def upload(self, call: Call) -> web.Response:
        """Add or delete ids; where one row is wrong none is taken."""
        _check_token(call)
        sound = self._sound_mapping(call)
        given = _body(call) if sound is None else {"advertiser_ids": sound.accounts}
        self._check_pace(call, given)
        return self._upload_by_rows(call, given) if sound is None else self._upload_in_bulk(sound)

    def _sound_mapping(self, call: Call) -> SoundMapping | None:
        is_json = call.request.content_type == "application/json" and len(call.body) <= MAX_BODY
        return sound_mapping(call.body) if is_json and self._around.checks_in_bulk(call) else None

    def _upload_in_bulk(self, sound: SoundMapping) -> web.Response:
        audience = self._owned(sound.audience, sound.accounts)
        if sound.action == "add":
            self._around.take(audience, sound.members, rows=len(sound.members))
        else:
            _end(audience, chain.from_iterable(sound.members))
        return _answer({})

    def _upload_by_rows(self, call: Call, given: Form) -> web.Response:
        schema, rows, accounts = kinds_of(given.get("id_schema")), given.get("batch_data"), given.get("advertiser_ids")
        if not isinstance(accounts, list) or not accounts or not all(map(is_id, accounts)):
            raise refused(40002, "advertiser_ids: Invalid value")
        # No maximum is documented; others keep to 1,000 rows.
        if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_ROWS:
            raise refused(40002, "batch_data: Length must be between 1 and 1000")
        action = given.get("action", "add")
        if action not in ("add", "delete"):
            raise refused(40002, "action: Invalid value")
        taken = call.half_of(rows)[call.is_partial :]
        placed = [place for row in taken for place in self._row(schema, row, accounts)]
        if any(call.dislikes(cell) for _, member in placed for cell in member):
            raise refused(40002, "batch_data: Invalid id")
        if action == "add":
            for audience, member in placed:
                self._around.take(audience, [member], rows=1)
        else:
            for name in {audience.id for audience, _ in placed}:
                ids = (one for audience, member in placed if audience.id == name for one in member)
                _end(self._around.store.audiences[name], ids)
        return _answer({}) if len(taken) == len(rows) else tiktok_error(20001, "Partial success")

    def _row(self, schema: Sequence[str], row: object, accounts: Sequence[Any]) -> list[tuple[Audience, Member]]:
        """Return the audiences of a row, and the ids that each of them gets."""
        if not isinstance(row, list) or len(row) != len(schema):
            raise refused(40002, "batch_data: Not in line with id_schema")
        cells = [cell for kind, cell in zip(schema, row, strict=True) if is_filled(kind, cell)]
        # Whether a row without any id is refused is not documented.
        if not cells:
            raise refused(40002, "batch_data: Missing id")
        names = dict.fromkeys(name for cell in cells for name in cell["audience_ids"])
        return [
            (self._owned(name, accounts), tuple(cell["id"] for cell in cells if name in cell["audience_ids"]))
            for name in names
        ]

    def _owned(self, name: object, accounts: Sequence[Any]) -> Audience:
        found = self._around.store.audiences.get(name) if isinstance(name, str) else None
        if found is None or found.account not in accounts:
            raise refused(40007, "Audience does not exist")
        return found

    def _checked(self, handler: Callable[[Call, Form], web.Response]) -> Callable[[Call], web.Response]:
        """Return the handler behind checks of the token and the pace."""

        def answer(call: Call) -> web.Response:
            _check_token(call)
            given = call.query if call.request.method == "GET" else _body(call)
            self._check_pace(call, given)
            return handler(call, given)

        return answer

    def _check_pace(self, call: Call, given: Form) -> None:
        accounts = given.get("advertiser_ids")
        account = accounts[0] if isinstance(accounts, list) and accounts else given.get("advertiser_id")
        key = f"{call.request.path} {account}"
        if self._around.options.limits and self._around.windows.enter(key, (BASIC,)) is not None:
            raise LimitReached(tiktok_error(40100, _throttled(str(account), 1)))


def _is_removal(call: Call) -> bool:
    """Tell whether a mapping is one that ends."""
    return _DELETES.search(call.body) is not None


def _end(audience: Audience, ids: Iterable[str]) -> None:
    """End the mapping of ids: each is mapped by itself, so of a row those stay that are not named; unknown are none."""
    gone = set(ids)
    for member in [member for member in audience.members if not gone.isdisjoint(member)]:
        audience.members.remove(member)
        if left := tuple(one for one in member if one not in gone):
            audience.members.add(left)


def _check_token(call: Call) -> None:
    token = call.request.headers.get("Access-Token", "")
    if not token:
        raise refused(40104, "Access token is empty")
    if token != CREDENTIALS["tiktok"]["TIKTOK_ACCESS_TOKEN"]:
        raise refused(40105, "Access token is incorrect or has been revoked")


def _unknown(call: Call) -> web.Response:
    """Answer a path that there is not, one without its slash included; how TikTok does is not documented."""
    del call
    return web.Response(status=404, text="404 page not found")


def _body(call: Call) -> dict[str, Any]:
    body = decode(call.body)
    if call.request.content_type != "application/json" or not isinstance(body, dict):
        raise refused(40002, "Request body is not a valid JSON object")
    if len(call.body) > MAX_BODY:
        raise refused(40002, "Request body is too large")
    return body


def _account(given: Form) -> str:
    account = given.get("advertiser_id")
    if not is_id(account):
        raise refused(40002, "advertiser_id: Missing data for required field")
    return str(account)


def _ids(given: Form) -> list[str]:
    names = decode(str(given.get("custom_audience_ids", "")).encode())
    if not isinstance(names, list) or not 1 <= len(names) <= 100 or not all(map(is_id, names)):
        raise refused(40002, "custom_audience_ids: Invalid value")
    return names


def _shown(audience: Audience) -> dict[str, Any]:
    return {
        "audience_id": audience.id,
        "name": audience.name,
        "audience_type": "Partner Audience",
        "calculate_type": "",
        "cover_num": len(audience.members),
        "is_valid": True,
        "is_expiring": False,
        "shared": False,
        "is_creator": True,
        "owner_id": audience.account,
        "create_time": f"{audience.made:%Y-%m-%d %H:%M:%S}",
        "expired_time": f"{audience.made + timedelta(days=365):%Y-%m-%d %H:%M:%S}",
        "msg": "",
        "error_msg": "",
    }


def _throttled(account: str, seconds: float) -> str:
    """Return TikTok's words for a reached limit, from which alone the wait can be told."""
    unit, limit = ("QPD", 864_000) if seconds >= 3600 else ("QPM", 600) if seconds >= 300 else ("QPS", 10)
    return f"Advertiser ({account})'s {unit} ({limit + 1}) reaches {unit} limit {limit} for current path"


def _answer(data: object) -> web.Response:
    return json_answer({"code": 0, "message": "OK", "request_id": trace(), "data": data})
