"""Meta's Custom Audiences as the sandbox plays them."""

import base64
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from sandbox.facebook.bulk import SoundUpload, sound_upload
from sandbox.facebook.errors import meta_error
from sandbox.facebook.rows import VALUE, Payload, leavers, payload_of, sorted_out, sorted_rows
from sandbox.facebook.sessions import Sessions, numbers_of
from sandbox.kit.credentials import CREDENTIALS
from sandbox.kit.faults import Fault
from sandbox.kit.platform import Call, Refusal, Route, Surroundings, decode, json_answer, trace, whole
from sandbox.kit.rate_limits import Limit
from sandbox.kit.store import Audience, Member, digits

SOURCES = frozenset({"USER_PROVIDED_ONLY", "PARTNER_PROVIDED_ONLY", "BOTH_USER_AND_PARTNER_PROVIDED"})
TRUTHS: Mapping[object, bool] = {True: True, "true": True, "1": True, False: False, "false": False, "0": False}
MAX_AUDIENCES = 500
MAX_SAMPLES = 100
DEFAULT_PAGE = 25
MAX_PAGE = 500
"""No maximum is documented, only that too much data is refused: taken to be what an account may hold."""

FIRST_VERSION = 25
UPGRADED = frozenset({"v24.0"})
"""Versions of the Marketing API that have ended and are served by a newer one for now; older ones are refused."""

HOURLY = Limit(190_000, 3600)

# What each fault says: code and subcode.
FAULTS: Mapping[str, tuple[int, int | None]] = {
    "throttled": (80003, 2446079),
    "auth": (190, 463),
    "terms": (200, 1870090),
    "server_error": (2, None),
    "not_found": (100, 33),
    "invalid": (100, None),
    "blocked": (100, 1713230),
}
STATUSES: Mapping[int, int] = {200: 403, 2: 500}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """How many rows an upload has, the members among those that are taken, as so many rows, and the unsound ones."""

    schema: tuple[str, ...]
    session: Mapping[str, Any]
    rows: int
    members: Collection[Member]
    sound: int
    unsound: Sequence[Sequence[Any]] = ()


class Facebook:
    """Handlers of the calls, and upload sessions."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._sessions = Sessions()

    def routes(self) -> Sequence[Route]:
        """Return the calls that are played."""
        version = r"/facebook/{version:v\d+\.\d+}"
        account = version + r"/act_{account:\d+}/customaudiences"
        audience = version + r"/{audience:\d+}"
        checked = self._checked
        return (
            Route("GET", account, "find", checked(self.find)),
            Route("POST", account, "create", checked(self.create)),
            Route("GET", audience, "find", checked(self.look)),
            Route("DELETE", audience, "other", checked(self.delete)),
            Route("POST", audience + "/users", "upload", checked(self.upload), _is_removal),
            Route("DELETE", audience + "/users", "remove", checked(self.remove)),
            Route("GET", audience + "/sessions", "job", checked(self.sessions)),
            Route("*", "/facebook/{tail:.*}", "other", _unknown),
        )

    def refusal(self, fault: Fault) -> web.Response:
        """Return what a fault makes Meta say; a throttle's wait stands in the usage header, in minutes."""
        code, subcode = FAULTS[fault.fault]
        status = STATUSES.get(code, 400)
        if fault.fault != "throttled":
            return meta_error(code, subcode, status=status)
        answer = meta_error(code, subcode, status=fault.status or status)
        minutes = (1.0 if fault.seconds is None else fault.seconds) / 60
        answer.headers["X-Business-Use-Case-Usage"] = _usage(100, minutes)
        return answer

    def dress(self, call: Call, answer: web.Response) -> None:
        """Add how much of an hour's calls is used; that audiences raise an account's limit a little is left out."""
        version = call.path.get("version", "v26.0")
        self._around.windows.enter("facebook", (HOURLY,))
        percent = 100 * self._around.windows.used("facebook", HOURLY) // HOURLY.calls
        answer.headers.setdefault("X-Business-Use-Case-Usage", _usage(percent, 0))
        if version in UPGRADED:
            answer.headers["X-Ad-Api-Version-Warning"] = f"The call was upgraded from {version}."
            version = f"v{FIRST_VERSION}.0"
        answer.headers.update({"facebook-api-version": version, "x-fb-trace-id": trace()})

    def settle(self) -> None:
        """Nothing falls due: uploads are taken at once."""

    def forget(self, account: str | None) -> None:
        """Drop sessions."""
        self._sessions.forget(account)

    def find(self, call: Call) -> web.Response:
        """List audiences by pages.

        `filtering` is ignored: whether names can be filtered is not documented, so nobody may count on it.
        """
        audiences = self._around.store.listed(call.path["account"], self._around.listed_until())
        return json_answer(_page(call, audiences))

    def create(self, call: Call) -> web.Response:
        """Make an audience; names may repeat."""
        given, account = _parameters(call), call.path["account"]
        name, is_value_based = given.get("name"), given.get("is_value_based", False)
        if not isinstance(name, str) or not name:
            raise Refusal(meta_error(100, blame="name"))
        # The kind is taken to be optional; PRIMARY, which the SDK knows and no page explains, to be refused.
        if given.get("subtype", "CUSTOM") != "CUSTOM":
            raise Refusal(meta_error(100, blame="subtype"))
        if given.get("customer_file_source") not in SOURCES:
            raise Refusal(meta_error(100, blame="customer_file_source"))
        if isinstance(is_value_based, dict | list) or is_value_based not in TRUTHS:
            raise Refusal(meta_error(100, blame="is_value_based"))
        # Which error a full account gives is not documented: taken to be that of a refused creation.
        if len(self._around.store.chosen(None, account)) >= MAX_AUDIENCES:
            raise Refusal(meta_error(100, 1713098))
        audience = self._around.store.create(digits(17), name, account, self._around.now())
        audience.options = {
            "is_value_based": TRUTHS[is_value_based],
            "description": str(given.get("description", "")),
            "customer_file_source": given["customer_file_source"],
        }
        return json_answer({"id": audience.id})

    def look(self, call: Call) -> web.Response:
        """Show one audience."""
        return json_answer(_shown(self._audience(call), _fields(call)))

    def delete(self, call: Call) -> web.Response:
        """Delete an audience."""
        del self._around.store.audiences[self._audience(call).id]
        return json_answer({"success": True})

    def upload(self, call: Call) -> web.Response:
        """Add rows, or remove them where a parameter names that method."""
        sound = sound_upload(call.body) if self._is_plain(call) else None
        if sound is not None:
            audience = self._audience(call)
            # Rows of an audience of the other kind are refused, which the way by rows does in its words.
            if (VALUE in sound.schema) == bool(audience.options.get("is_value_based")):
                return self._take(call, audience, _upload_in_bulk(sound))
        given = _parameters(call)
        if _is_removal(call):
            return self.remove(call)
        audience = self._audience(call)
        return self._take(call, audience, _upload_by_rows(call, given, audience))

    def _is_plain(self, call: Call) -> bool:
        """Tell whether a call is one whose parameters are those of its body."""
        is_json = call.request.content_type == "application/json"
        return self._around.checks_in_bulk(call) and is_json and "method" not in call.query

    def _take(self, call: Call, audience: Audience, upload: Upload) -> web.Response:
        """Add an upload's members, if its session lets them in, and answer."""
        session, schema = upload.session, upload.schema
        admitted = self._sessions.admit(session, audience.account, audience.id, schema, self._around.now())
        self._around.take(audience, upload.members, rows=upload.sound)
        audience.options["has_uploads"] = True
        is_last = session["last_batch_flag"] in (True, "true")
        admitted.take(upload.rows, len(upload.unsound), is_last=is_last)
        return json_answer(_received(call, audience, str(admitted.id), admitted.received, upload.unsound))

    def remove(self, call: Call) -> web.Response:
        """Remove the people that rows name; nobody of them in the audience is no error.

        A session may come along; that it keeps an upload's rules is not documented, so only its form is looked at.
        """
        audience, given = self._audience(call), _parameters(call)
        payload, session = payload_of(given, audience, is_removal=True), given.get("session", {})
        if not isinstance(session, dict):
            raise Refusal(meta_error(100, blame="session"))
        number = numbers_of(session)[0] if session else digits(17)
        _check_liked(call, payload)
        taken = Payload(schema=payload.schema, rows=call.half_of(payload.rows))
        sound, unsound = sorted_rows(call, taken)
        audience.members -= leavers(audience.members, taken, sound)
        return json_answer(_received(call, audience, str(number), len(payload.rows), unsound))

    def sessions(self, call: Call) -> web.Response:
        """Show an audience's upload sessions, or one of them."""
        wanted = call.query.get("session_id")
        held = [session.shown() for session in self._sessions.of(self._audience(call).id)]
        return json_answer({"data": [shown for shown in held if wanted in (None, shown["session_id"])]})

    def _audience(self, call: Call) -> Audience:
        found = self._around.store.audiences.get(call.path["audience"])
        if found is None:
            raise Refusal(meta_error(100, 33))
        return found

    def _checked(self, handler: Callable[[Call], web.Response]) -> Callable[[Call], web.Response]:
        """Return the handler behind a check of the token."""

        def answer(call: Call) -> web.Response:
            scheme, _, bearer = call.request.headers.get("Authorization", "").partition(" ")
            token = bearer.strip() if scheme.lower() == "bearer" else _parameters(call).get("access_token")
            if token != CREDENTIALS["facebook"]["FACEBOOK_ACCESS_TOKEN"]:
                raise Refusal(meta_error(190))
            if _number(call.path["version"]) < FIRST_VERSION and call.path["version"] not in UPGRADED:
                raise Refusal(meta_error(2635))
            return handler(call)

        return answer


def _is_removal(call: Call) -> bool:
    """Tell whether a parameter names the method that removes."""
    given = call.query.get("method") or call.form.get("method")
    if given is None and b'"method"' in call.body:
        given = _parameters(call).get("method")
    return str(given).upper() == "DELETE"


def _number(version: str) -> int:
    return int(version.removeprefix("v").partition(".")[0])


def _unknown(call: Call) -> web.Response:
    del call
    return meta_error(2500)


def _parameters(call: Call) -> dict[str, Any]:
    """Return a call's parameters: of the query, and of the body, be it one JSON object or a form."""
    given: dict[str, Any] = {**call.query, **call.form}
    if call.request.content_type == "application/json":
        body = decode(call.body)
        given |= body if isinstance(body, dict) else {}
    for name in ("payload", "session"):
        if isinstance(given.get(name), str):
            given[name] = decode(given[name].encode())
    return given


def _upload_in_bulk(sound: SoundUpload) -> Upload:
    return Upload(schema=sound.schema, session=sound.session, rows=sound.rows, members=sound.members, sound=sound.rows)


def _upload_by_rows(call: Call, given: Mapping[str, Any], audience: Audience) -> Upload:
    """Return the upload that a call is, each row looked at. Raises Refusal where it is none."""
    payload, session = payload_of(given, audience), given.get("session")
    # The guide requires a session; connectors that send none are reported to work.
    if not isinstance(session, dict):
        raise Refusal(meta_error(100, blame="session"))
    _check_liked(call, payload)
    taken = Payload(schema=payload.schema, rows=call.half_of(payload.rows))
    members, unsound = sorted_out(call, taken)
    return Upload(
        schema=payload.schema,
        session=session,
        rows=len(payload.rows),
        members=members,
        sound=len(members),
        unsound=unsound,
    )


def _check_liked(call: Call, payload: Payload) -> None:
    if call.is_too_much(payload.rows):
        raise Refusal(meta_error(1, status=500))
    if any(call.dislikes(cell) for row in payload.rows for cell in row if isinstance(cell, str)):
        raise Refusal(meta_error(100, blame="payload"))


def _received(
    call: Call, audience: Audience, session_id: str, received: int, unsound: Sequence[Sequence[Any]]
) -> dict[str, Any]:
    """Return the answer to rows; samples are keyed by the entry and quote it."""
    shown = [row for row in unsound if call.names(*row)][:MAX_SAMPLES]
    samples = {msgspec.json.encode(row).decode(): "Invalid entry" for row in shown}
    return {
        "audience_id": audience.id,
        "session_id": session_id,
        "num_received": received,
        "num_invalid_entries": len(unsound),
        "invalid_entry_samples": samples,
    }


def _page(call: Call, audiences: Sequence[Audience]) -> dict[str, Any]:
    """Return the page of audiences that a call asks for."""
    limit, fields = whole(call.query.get("limit", DEFAULT_PAGE)), _fields(call)
    if limit is None or limit < 1:
        raise Refusal(meta_error(100, blame="limit"))
    if limit > MAX_PAGE:
        raise Refusal(meta_error(1, status=500))
    after, before = _place(call.query.get("after"), 0), _place(call.query.get("before"), math.inf)
    within = [audience for audience in audiences if after < audience.serial < before]
    page = within[-limit:] if "before" in call.query else within[:limit]
    body: dict[str, Any] = {"data": [_shown(audience, fields) for audience in page]}
    if page:
        body["paging"] = _paging(call, page, audiences)
    return body


def _paging(call: Call, page: Sequence[Audience], audiences: Sequence[Audience]) -> dict[str, Any]:
    cursors = {"before": _cursor(page[0]), "after": _cursor(page[-1])}
    paging: dict[str, Any] = {"cursors": cursors}
    here = call.request.url.without_query_params("after", "before")
    if page[-1] is not audiences[-1]:
        paging["next"] = str(here.update_query(after=cursors["after"]))
    if page[0] is not audiences[0]:
        paging["previous"] = str(here.update_query(before=cursors["before"]))
    return paging


def _cursor(audience: Audience) -> str:
    return base64.urlsafe_b64encode(str(audience.serial).encode()).decode()


def _place(cursor: str | None, default: float) -> float:
    if cursor is None:
        return default
    try:
        return int(base64.urlsafe_b64decode(cursor))
    except ValueError:
        raise Refusal(meta_error(100, blame="after")) from None


def _fields(call: Call) -> list[str]:
    return [field.strip() for field in call.query.get("fields", "id").split(",")]


def _shown(audience: Audience, fields: Sequence[str]) -> dict[str, Any]:
    """Return an audience's id and fields. Raises Refusal for a field that there is not."""
    has_uploads = audience.options.get("has_uploads", False)
    made = int(audience.made.timestamp())
    known: dict[str, Any] = {
        "id": audience.id,
        "name": audience.name,
        "account_id": audience.account,
        "subtype": "CUSTOM",
        "description": audience.options["description"],
        "customer_file_source": audience.options["customer_file_source"],
        "is_value_based": audience.options["is_value_based"],
        "operation_status": {"code": 200 if has_uploads else 410, "description": "Normal" if has_uploads else ""},
        "delivery_status": {"code": 200, "description": "This audience is ready for use."},
        "approximate_count_lower_bound": -1,
        "approximate_count_upper_bound": -1,
        "time_created": made,
        "time_updated": made,
    }
    if not known.keys() >= set(fields):
        raise Refusal(meta_error(100, blame="fields"))
    return {name: known[name] for name in dict.fromkeys(["id", *fields])}


def _usage(percent: int, minutes: float) -> str:
    """Return Meta's usage header. Real waits are whole minutes; a test's may be a fraction of one."""
    entry = {
        "type": "custom_audience",
        "call_count": percent,
        "total_cputime": percent,
        "total_time": percent,
        "estimated_time_to_regain_access": int(minutes) if minutes == int(minutes) else minutes,
        "ads_api_access_tier": "standard_access",
    }
    return msgspec.json.encode({"100200300": [entry]}).decode()
