"""Klaviyo's lists, profiles and bulk imports as the sandbox plays them."""

import base64
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from aiohttp import web

from sandbox.kit.credentials import CREDENTIALS
from sandbox.kit.faults import Fault
from sandbox.kit.platform import Call, LimitReached, Refusal, Route, Surroundings, decode, json_answer, whole
from sandbox.kit.rate_limits import Limit
from sandbox.kit.store import Audience, Member, alphanumeric
from sandbox.klaviyo.bulk import sound_import
from sandbox.klaviyo.errors import KIND, klaviyo_error
from sandbox.klaviyo.import_jobs import Import, Imports, member_of
from sandbox.klaviyo.profiles import (
    IDENTIFIERS,
    MAX_PROFILES,
    OBJECTS,
    TEXTS,
    Failure,
    Profile,
    failures,
    identifiers_of,
    is_profile,
)

MAX_BODY = 5_000_000
LISTS_PAGE = 10
ERRORS_PAGE = 100
PROFILES_PAGE = (20, 100)
"""Profiles of a page, and at most."""

PROFILES = "/data/attributes/profiles/data"
MAX_IDS = 1000
FIELDS = TEXTS | OBJECTS | {"created", "updated", "last_event_date", "anonymous_id"}

MEDIUM = (Limit(10, 1), Limit(150, 60))
LARGE = (Limit(75, 1), Limit(700, 60))
LOOKUP = (Limit(75, 1), Limit(750, 60))
"""The last limit of each is the steady one, which headers tell of; by endpoint. A list's creation has one by day."""

DAILY = Limit(150, 86_400)

FIRST_REVISION = "2025-01-15"
LAST_REVISION = "2026-10-15"
"""Between these any date is taken to be a revision that lives; one lives for two years."""

OPT_OUT = "X-Klaviyo-Revision-Fall-Forward-Opt-Out"

FAULTS: Mapping[str, str] = {
    "throttled": "throttled",
    "auth": "authentication_failed",
    "terms": "permission_denied",
    "server_error": "error",
    "not_found": "not_found",
    "invalid": "invalid",
}
"""What each fault says; `blocked` is Meta's alone."""

_TEXT = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_EQUALS = re.compile(rf"equals\((\w+),\s*({_TEXT})\)", re.DOTALL)
_ANY = re.compile(rf"any\((\w+),\s*\[\s*((?:{_TEXT})(?:\s*,\s*(?:{_TEXT}))*)\s*\]\)", re.DOTALL)
_PROFILE_ID = re.compile(r"[0-9A-Z]{26}")
_REVISION = re.compile(r"(\d{4}-\d{2}-\d{2})(\.pre)?")

Listed = TypeVar("Listed")


class Klaviyo:
    """Handlers of the calls, profiles and imports."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._imports = Imports(around.take, in_bulk=around.options.in_bulk)

    def routes(self) -> Sequence[Route]:
        """Return the calls that are played, with or without a slash at the end."""
        job, profiles = "/profile-bulk-import-jobs/{job}", "/lists/{list}/profiles"
        relationship = "/lists/{list}/relationships/profiles"
        calls = (
            ("GET", "/lists", "find", self._checked(self.find, LARGE)),
            ("POST", "/lists", "create", self._checked(self.create, MEDIUM, DAILY)),
            ("POST", "/profile-bulk-import-jobs", "upload", self._checked(self.upload, MEDIUM)),
            ("GET", job, "job", self._checked(self.job, MEDIUM)),
            ("GET", job + "/import-errors", "job", self._checked(self.errors, MEDIUM)),
            ("GET", profiles, "lookup", self._checked(self.profiles_of_list, LOOKUP)),
            ("GET", "/profiles", "lookup", self._checked(self.profiles, LOOKUP)),
            ("DELETE", relationship, "remove", self._checked(self.remove, MEDIUM)),
        )
        slashed = [
            Route(method, f"/klaviyo/api{path}{slash}", operation, handler)
            for method, path, operation, handler in calls
            for slash in ("", "/")
        ]
        return (*slashed, Route("*", "/klaviyo/{tail:.*}", "other", _unknown))

    def refusal(self, fault: Fault) -> web.Response:
        """Return what a fault makes Klaviyo say."""
        return klaviyo_error(FAULTS[fault.fault], wait=1 if fault.seconds is None else fault.seconds)

    def dress(self, call: Call, answer: web.Response) -> None:
        """Add what is left of the steady limit, to any answer but that of a throttle."""
        if answer.status == 429:
            return
        endpoint = _endpoint(call)
        limit = _steady(endpoint)
        windows = self._around.windows
        answer.headers["RateLimit-Limit"] = str(limit.calls)
        answer.headers["RateLimit-Remaining"] = str(limit.calls - windows.used(endpoint, limit))
        answer.headers["RateLimit-Reset"] = str(math.ceil(windows.ends_in(limit)))

    def settle(self) -> None:
        """Complete the imports whose time has come."""
        self._imports.settle(self._around.now(), self._around.store.chosen(None, None))

    def forget(self, account: str | None) -> None:
        """Drop profiles and imports; the key is of one account."""
        if account in (None, ""):
            self._imports.forget()

    def find(self, call: Call) -> web.Response:
        """Show lists, all or those of some names or ids, by pages."""
        _check_parameters(call, {"filter", "sort", "fields[list]", "page[size]", "page[cursor]"})
        listed = self._around.store.listed("", self._around.listed_until())
        field, wanted = _filter(call.query.get("filter"), ("name", "id"))
        found = [audience for audience in listed if field is None or getattr(audience, field) in wanted]
        page, links = _paged(call, found, default=LISTS_PAGE, maximum=LISTS_PAGE)
        return json_answer({"data": [_shown(audience) for audience in page], "links": links}, kind=KIND)

    def create(self, call: Call) -> web.Response:
        """Make a list; names may repeat."""
        attributes = _resource(call, "list")["attributes"]
        name, opt_in = attributes.get("name"), attributes.get("opt_in_process", "double_opt_in")
        if not isinstance(name, str) or not name:
            raise Refusal(klaviyo_error("invalid", pointer="/data/attributes/name"))
        if opt_in not in ("single_opt_in", "double_opt_in"):
            raise Refusal(klaviyo_error("invalid", pointer="/data/attributes/opt_in_process"))
        if unknown := next((member for member in attributes if member not in ("name", "opt_in_process")), None):
            raise Refusal(klaviyo_error("invalid", pointer=f"/data/attributes/{unknown}"))
        audience = self._around.store.create(alphanumeric(6), name, "", self._around.now())
        audience.options["opt_in_process"] = opt_in
        return json_answer({"data": _shown(audience)}, 201, kind=KIND)

    def upload(self, call: Call) -> web.Response:
        """Begin an import."""
        if len(call.body) > MAX_BODY:
            raise Refusal(klaviyo_error("payload_too_large"))
        sound = sound_import(call.body) if self._around.checks_in_bulk(call) else None
        begun = self._import_by_profiles(call) if sound is None else self._begun(sound.relationships, sound.identifiers)
        self._imports.add(begun)
        return json_answer({"data": self._shown_import(call, begun)}, 202, kind=KIND)

    def _import_by_profiles(self, call: Call) -> Import:
        data = _resource(call, "profile-bulk-import-job")
        sent = _profiles(data)
        _check_liked(call, sent)
        profiles = call.half_of(sent)
        failed = failures(call, profiles)
        indexes = {failure.index for failure in failed}
        taken = [identifiers_of(profile) for index, profile in enumerate(profiles) if index not in indexes]
        return self._begun(data.get("relationships", {}), taken, failed)

    def _begun(self, relationships: object, taken: Sequence[Member], failed: Sequence[Failure] = ()) -> Import:
        return Import(
            lists=self._lists(relationships),
            taken=taken,
            total=len(taken) + len(failed),
            failures=failed,
            since=self._around.now(),
            seconds=self._around.options.job_seconds,
        )

    def job(self, call: Call) -> web.Response:
        """Show how an import stands."""
        return json_answer({"data": self._shown_import(call, self._import(call))}, kind=KIND)

    def errors(self, call: Call) -> web.Response:
        """Show the profiles that a complete import could not take, by pages."""
        _check_parameters(call, {"fields[import-error]", "page[size]", "page[cursor]"})
        found = self._import(call)
        is_complete = found.status(self._around.now()) == "complete"
        failed = [failure for failure in found.failures if failure.is_shown] if is_complete else []
        page, links = _paged(call, failed, default=20, maximum=ERRORS_PAGE)
        return json_answer({"data": [failure.shown() for failure in page], "links": links}, kind=KIND)

    def profiles_of_list(self, call: Call) -> web.Response:
        """Show the profiles of a list, all or those with some values, by pages; external ids are not asked for here."""
        audience = self._list(call)
        return self._profiles_page(call, ("email", "phone_number"), lambda one: member_of(one) in audience.members)

    def profiles(self, call: Call) -> web.Response:
        """Show the account's profiles, all or those with some values, by pages."""
        return self._profiles_page(call, ("id", *IDENTIFIERS), lambda _: True)

    def _profiles_page(self, call: Call, fields: Sequence[str], holds: Callable[[Member], bool]) -> web.Response:
        _check_parameters(call, {"filter", "sort", "fields[profile]", "page[size]", "page[cursor]"})
        shown = call.query.get("fields[profile]", ",".join(IDENTIFIERS)).split(",")
        if not FIELDS.issuperset(shown):
            raise Refusal(klaviyo_error("invalid", parameter="fields[profile]"))
        field, wanted = _filter(call.query.get("filter"), fields)
        known = self._imports.profiles() if field is None else self._imports.known_by(field, wanted)
        page, links = _paged(call, list(filter(holds, known)), default=PROFILES_PAGE[0], maximum=PROFILES_PAGE[1])
        return json_answer({"data": [self._shown_profile(one, shown) for one in page], "links": links}, kind=KIND)

    def _shown_profile(self, profile: Member, fields: Sequence[str]) -> dict[str, Any]:
        """Return a profile as Klaviyo shows it; what else it has than its identifiers is not kept."""
        kept = {name: value or None for name, value in zip(IDENTIFIERS, profile, strict=True)}
        attributes = {name: kept.get(name) for name in fields}
        return {"type": "profile", "id": self._imports.id_of(profile), "attributes": attributes}

    def remove(self, call: Call) -> web.Response:
        """Take profiles out of a list by their ids; they live on, and who is not in it is no error."""
        audience, body = self._list(call), decode(call.body)
        entries = body.get("data") if isinstance(body, dict) else None
        if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_IDS:
            raise Refusal(klaviyo_error("invalid", pointer="/data"))
        if wrong := [f"/data/{index}" for index, entry in enumerate(entries) if not _is_profile_id(entry)]:
            raise Refusal(klaviyo_error("invalid", pointers=wrong))
        named = self._imports.known_by("id", [entry["id"] for entry in call.half_of(entries)])
        audience.members.difference_update(map(member_of, named))
        return web.Response(status=204)

    def _list(self, call: Call) -> Audience:
        found = self._around.store.audiences.get(call.path["list"])
        if found is None:
            raise Refusal(klaviyo_error("not_found"))
        return found

    def _shown_import(self, call: Call, shown: Import) -> dict[str, Any]:
        link = call.request.url.with_path(f"/klaviyo/api/profile-bulk-import-jobs/{shown.id}").with_query(None)
        return {**shown.shown(self._around.now()), "links": {"self": str(link)}}

    def _import(self, call: Call) -> Import:
        found = self._imports.get(call.path["job"])
        if found is None:
            raise Refusal(klaviyo_error("not_found"))
        return found

    def _lists(self, relationships: Any) -> list[Audience]:
        """Return the lists that an import names. Raises Refusal for one that there is not."""
        try:
            entries = relationships.get("lists", {}).get("data", [])
            named = [(entry["type"], entry["id"]) for entry in entries]
        except (AttributeError, KeyError, TypeError):
            raise Refusal(klaviyo_error("invalid", pointer="/data/relationships/lists/data")) from None
        held = self._around.store.audiences
        for index, (kind, name) in enumerate(named):
            if kind != "list" or not isinstance(name, str) or name not in held:
                raise Refusal(klaviyo_error("not_found", pointer=f"/data/relationships/lists/data/{index}/id"))
        return [held[name] for _, name in named]

    def _checked(
        self, handler: Callable[[Call], web.Response], limits: Sequence[Limit], *more: Limit
    ) -> Callable[[Call], web.Response]:
        """Return the handler behind checks of key, revision, content type and limits."""

        def answer(call: Call) -> web.Response:
            _check_headers(call)
            if self._around.options.limits:
                wait = self._around.windows.enter(_endpoint(call), (*limits, *more))
                if wait is not None:
                    raise LimitReached(klaviyo_error("throttled", wait=wait))
            return handler(call)

        return answer


def _unknown(call: Call) -> web.Response:
    del call
    return klaviyo_error("not_found")


def _endpoint(call: Call) -> str:
    """Return what limits count by: method and path, ids left out."""
    path = call.request.path.rstrip("/")
    for name in {"job", "list"} & call.path.keys():
        path = path.replace(f"/{call.path[name]}", "/")
    return f"{call.request.method} {path}"


def _steady(endpoint: str) -> Limit:
    """Return the limit by the minute."""
    if endpoint == "GET /klaviyo/api/lists":
        return LARGE[-1]
    return LOOKUP[-1] if endpoint.startswith("GET") and endpoint.endswith("/profiles") else MEDIUM[-1]


def _is_profile_id(entry: object) -> bool:
    """Tell whether an entry names a profile by its id: an e-mail address is none, and nothing else may stand there."""
    if not isinstance(entry, dict) or entry.keys() != {"type", "id"} or entry["type"] != "profile":
        return False
    return isinstance(entry["id"], str) and _PROFILE_ID.fullmatch(entry["id"]) is not None


def _check_headers(call: Call) -> None:
    headers = call.request.headers
    given = headers.get("Authorization", "")
    if not given.startswith("Klaviyo-API-Key "):
        raise Refusal(klaviyo_error("not_authenticated"))
    if given != f"Klaviyo-API-Key {CREDENTIALS['klaviyo']['KLAVIYO_API_KEY']}":
        raise Refusal(klaviyo_error("authentication_failed"))
    revision = _REVISION.fullmatch(headers.get("revision", ""))
    if revision is None or not FIRST_REVISION <= revision[1] <= LAST_REVISION:
        # Klaviyo would answer by another revision where the header is missing, which nobody would notice.
        if headers.get(OPT_OUT) == "1":
            raise Refusal(klaviyo_error("revision_retired"))
        raise Refusal(klaviyo_error("invalid", parameter="revision"))
    if call.request.method in ("POST", "DELETE") and call.request.content_type not in (KIND, "application/json"):
        raise Refusal(klaviyo_error("unsupported_media_type"))


def _check_parameters(call: Call, known: set[str]) -> None:
    if unknown := next((name for name in call.query if name not in known), None):
        raise Refusal(klaviyo_error("invalid", parameter=unknown))


def _filter(text: str | None, fields: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return which of these fields a filter is about, and the values wanted. Raises Refusal where it is none."""
    if text is None:
        return None, []
    found = _EQUALS.fullmatch(text) or _ANY.fullmatch(text)
    if found is None or found[1] not in fields:
        raise Refusal(klaviyo_error("invalid", parameter="filter"))
    return found[1], [re.sub(r"\\(.)", r"\1", value[1:-1], flags=re.DOTALL) for value in _texts(found[2])]


def _texts(text: str) -> list[str]:
    return re.findall(_TEXT, text, re.DOTALL)


def _paged(call: Call, found: Sequence[Listed], *, default: int, maximum: int) -> tuple[Sequence[Listed], object]:
    """Return the page that a call asks for and the links of its answer."""
    size, start = whole(call.query.get("page[size]", default)), _start(call.query.get("page[cursor]"))
    if size is None or not 1 <= size <= maximum:
        raise Refusal(klaviyo_error("invalid", parameter="page[size]"))
    url, end = call.request.url, start + size
    links = {
        "self": str(url),
        "first": str(url.without_query_params("page[cursor]")),
        "last": None,
        "prev": str(url.update_query({"page[cursor]": _cursor(max(start - size, 0))})) if start else None,
        "next": str(url.update_query({"page[cursor]": _cursor(end)})) if end < len(found) else None,
    }
    return found[start:end], links


def _cursor(start: int) -> str:
    return base64.urlsafe_b64encode(f"next::{start}".encode()).decode()


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        start = whole(base64.urlsafe_b64decode(cursor).decode().removeprefix("next::"))
    except ValueError:
        start = None
    if start is None or start < 0:
        raise Refusal(klaviyo_error("invalid", parameter="page[cursor]"))
    return start


def _resource(call: Call, kind: str) -> dict[str, Any]:
    """Return the resource that a body holds. Raises Refusal where it is none of this kind."""
    body = decode(call.body)
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict) or data.get("type") != kind or not isinstance(data.get("attributes"), dict):
        raise Refusal(klaviyo_error("invalid", pointer="/data"))
    return data


def _profiles(data: Mapping[str, Any]) -> list[Profile]:
    """Return the attributes of an import's profiles. Raises Refusal where their form is wrong."""
    holder = data["attributes"].get("profiles")
    entries = holder.get("data") if isinstance(holder, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_PROFILES:
        raise Refusal(klaviyo_error("invalid", pointer=PROFILES))
    if wrong := [f"{PROFILES}/{index}" for index, entry in enumerate(entries) if not is_profile(entry)]:
        raise Refusal(klaviyo_error("invalid", pointers=wrong))
    return [entry["attributes"] for entry in entries]


def _check_liked(call: Call, profiles: Sequence[Profile]) -> None:
    """Refuse an import that is too much for one call, or for values that are disliked, naming each."""
    if call.is_too_much(profiles):
        raise Refusal(klaviyo_error("payload_too_large"))
    disliked = {
        f"{PROFILES}/{index}/attributes/{name}": call.names(profile[name])
        for index, profile in enumerate(profiles)
        for name in IDENTIFIERS
        if call.dislikes(profile.get(name))
    }
    if disliked:
        raise Refusal(klaviyo_error("invalid", pointers=[at for at, is_named in disliked.items() if is_named]))


def _shown(audience: Audience) -> dict[str, Any]:
    made = audience.made.isoformat(timespec="seconds")
    attributes = {
        "name": audience.name,
        "created": made,
        "updated": made,
        "opt_in_process": audience.options["opt_in_process"],
    }
    return {"type": "list", "id": audience.id, "attributes": attributes}
