"""Klaviyo's lists and bulk imports as the sandbox plays them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sandbox.control import Fault
from sandbox.credentials import CREDENTIALS
from sandbox.platform import Refusal, Route, Surroundings, decode, html_answer, json_answer
from sandbox.store import Audience, letters

KIND = "application/vnd.api+json"
MAX_PROFILES = 10_000
MAX_BODY = 5_000_000
MAX_PROFILE = 100_000
MAX_PAGE = 10
ERRORS_PAGE = 100
RATES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "find": ((75, 1), (750, 60)),
    "create": ((10, 1), (150, 60), (150, 86_400)),
    "upload": ((10, 1), (150, 60)),
    "job": ((10, 1), (150, 60)),
}
IDENTIFIERS = ("email", "phone_number", "external_id")
ATTRIBUTES = frozenset(
    {*IDENTIFIERS, "_kx", "first_name", "last_name", "organization", "locale", "title", "image", "location"}
    | {"properties"}
)
FAULTS: Mapping[str, tuple[int, str]] = {
    "throttled": (429, "throttled"),
    "auth": (401, "not_authenticated"),
    "terms": (403, "permission_denied"),
    "server_error": (503, "error"),
    "not_found": (404, "not_found"),
    "invalid": (400, "invalid"),
}
_FILTER = re.compile(r'equals\(name,"((?:[^"\\]|\\.)*)"\)')
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")


@dataclass(slots=True, kw_only=True)
class Job:
    """One bulk import."""

    id: str
    total: int
    since: float
    failed: list[tuple[int, str]] = field(default_factory=list)


class Klaviyo:
    """Handlers of the calls, profiles and imports."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._jobs: dict[str, Job] = {}

    def routes(self) -> list[Route]:
        """Return the calls that are played, with or without a slash at the end."""
        calls = [
            ("GET", "/lists", "find", self.find),
            ("POST", "/lists", "create", self.create),
            ("POST", "/profile-bulk-import-jobs", "upload", self.upload),
            ("GET", "/profile-bulk-import-jobs/{job}", "job", self.job),
            ("GET", "/profile-bulk-import-jobs/{job}/import-errors", "job", self.errors),
        ]
        return [Route(call[0], "/klaviyo/api" + call[1] + slash, *call[2:]) for call in calls for slash in ("", "/")]

    async def find(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """List lists by name."""
        self._enter(request, fault, "find")
        wanted = _FILTER.fullmatch(request.query.get("filter", ""))
        size = request.query.get("page[size]", str(MAX_PAGE))
        if "filter" in request.query and wanted is None:
            raise _error(400, "invalid")
        if not size.isdecimal() or not 1 <= int(size) <= MAX_PAGE:
            raise _error(400, "invalid")
        name = re.sub(r"\\(.)", r"\1", wanted[1]) if wanted else None
        options = self._around.options
        listed = self._around.store.listed("", options.clock() - options.listing_lag)
        found = [audience for audience in listed if name in (None, audience.name)]
        start = int(request.query.get("page[cursor]", "0") or 0)
        page = found[start : start + int(size)]
        more = start + len(page) < len(found)
        following = str(request.url.update_query({"page[cursor]": str(start + len(page))})) if more else None
        links = {"self": str(request.url), "prev": None, "next": following}
        return _answer({"data": [_shown(audience) for audience in page], "links": links})

    async def create(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Make a list; names may repeat."""
        self._enter(request, fault, "create")
        data = _data(await request.read(), "list")
        name = data["attributes"].get("name")
        if not isinstance(name, str) or not name:
            raise _error(400, "invalid", "/data/attributes/name")
        audience = self._around.store.create(letters(6), name, "", self._around.options.clock())
        return _answer({"data": _shown(audience)}, 201)

    async def upload(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Begin an import."""
        self._enter(request, fault, "upload")
        body = await request.read()
        if len(body) > MAX_BODY:
            raise _error(413, "payload_too_large")
        data = _data(body, "profile-bulk-import-job")
        profiles = _profiles(data)
        lists = [self._list(entry) for entry in _listed(data)]
        job = Job(id=letters(26).upper(), total=len(profiles), since=self._around.options.clock())
        spoiled = fault is not None and fault.fault == "partial"
        for place, profile in enumerate(profiles):
            wrong = "email" if spoiled and place == 0 else _wrong_field(profile)
            if wrong:
                job.failed.append((place, wrong))
            else:
                for audience in lists:
                    _upsert(audience, profile)
        self._jobs[job.id] = job
        return _answer({"data": self._shown_job(job)}, 202)

    async def job(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """Show how an import stands."""
        self._enter(request, fault, "job")
        return _answer({"data": self._shown_job(self._job(request))})

    async def errors(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        """List what an import could not take, by pages."""
        self._enter(request, fault, "job")
        job = self._job(request)
        start = int(request.query.get("page[cursor]", "0") or 0)
        page = job.failed[start : start + ERRORS_PAGE]
        more = start + len(page) < len(job.failed)
        following = str(request.url.update_query({"page[cursor]": str(start + len(page))})) if more else None
        shown = [_import_error(place, wrong) for place, wrong in page]
        return _answer({"data": shown, "links": {"self": str(request.url), "next": following}})

    def _enter(self, request: web.Request, fault: Fault | None, operation: str) -> None:
        if request.headers.get("Authorization") != f"Klaviyo-API-Key {CREDENTIALS['klaviyo']['KLAVIYO_API_KEY']}":
            raise _error(401, "not_authenticated")
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.pre)?", request.headers.get("revision", "")):
            raise _error(400, "invalid")
        if fault is not None and fault.fault == "html":
            raise web.HTTPBadGateway(text=html_answer().text, content_type="text/html")
        if fault is not None and fault.fault in FAULTS:
            raise _error(*FAULTS[fault.fault], wait=fault.seconds or 1)
        for calls, seconds in RATES[operation]:
            wait = self._around.exceeds(f"klaviyo/{operation}", calls, seconds)
            if wait is not None:
                raise _error(429, "throttled", wait=wait)

    def _list(self, entry: Mapping[str, Any]) -> Audience:
        found = self._around.store.audiences.get(str(entry.get("id")))
        if found is None:
            raise _error(404, "not_found", "/data/relationships/lists/data/0/id")
        return found

    def _job(self, request: web.Request) -> Job:
        found = self._jobs.get(request.match_info["job"])
        if found is None:
            raise _error(404, "not_found")
        return found

    def _shown_job(self, job: Job) -> dict[str, Any]:
        age = self._around.options.clock() - job.since
        total = self._around.options.job_seconds
        status = "complete" if age >= total else "processing" if age >= total / 2 else "queued"
        done = status == "complete"
        return {
            "type": "profile-bulk-import-job",
            "id": job.id,
            "attributes": {
                "status": status,
                "total_count": job.total,
                "completed_count": job.total - len(job.failed) if done else 0,
                "failed_count": len(job.failed) if done else 0,
            },
        }


def _data(body: bytes, kind: str) -> dict[str, Any]:
    """Return the resource that a body holds."""
    decoded = decode(body)
    data = decoded.get("data") if isinstance(decoded, dict) else None
    if not isinstance(data, dict) or data.get("type") != kind or not isinstance(data.get("attributes"), dict):
        raise _error(400, "invalid", "/data")
    return data


def _profiles(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    holder = data["attributes"].get("profiles")
    entries = holder.get("data") if isinstance(holder, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_PROFILES:
        raise _error(400, "invalid", "/data/attributes/profiles/data")
    for place, entry in enumerate(entries):
        attributes = entry.get("attributes") if isinstance(entry, dict) else None
        if not isinstance(attributes, dict) or not ATTRIBUTES.issuperset(attributes):
            raise _error(400, "invalid", f"/data/attributes/profiles/data/{place}")
    return [entry["attributes"] for entry in entries]


def _listed(data: Mapping[str, Any]) -> list[Any]:
    try:
        return list(data["relationships"]["lists"]["data"])
    except (KeyError, TypeError):
        return []


def _wrong_field(profile: Mapping[str, Any]) -> str | None:
    if not any(profile.get(name) for name in IDENTIFIERS):
        return "email"
    checks = (("email", _EMAIL), ("phone_number", _PHONE))
    return next((name for name, form in checks if name in profile and not form.fullmatch(str(profile[name]))), None)


def _upsert(audience: Audience, profile: Mapping[str, Any]) -> None:
    """Add a profile, merged with the one that has its first known identifier."""
    given = tuple(str(profile.get(name) or "") for name in IDENTIFIERS)
    known = audience.options.setdefault("profiles", {})
    assert isinstance(known, dict)  # noqa: S101 -- set in the line above
    old = next((known[p, v] for p, v in enumerate(given) if v and (p, v) in known), ("", "", ""))
    merged = tuple(new or before for new, before in zip(given, old, strict=True))
    audience.members.discard(tuple(filter(None, old)))
    audience.members.add(tuple(filter(None, merged)))
    known.update({(place, value): merged for place, value in enumerate(merged) if value})


def _shown(audience: Audience) -> dict[str, Any]:
    return {"type": "list", "id": audience.id, "attributes": {"name": audience.name}}


def _import_error(place: int, wrong: str) -> dict[str, Any]:
    return {
        "type": "import-error",
        "id": letters(20),
        "attributes": {
            "code": "invalid",
            "title": "Invalid input",
            "detail": "Sandbox refuses person@example.com",
            "source": {"pointer": f"/data/attributes/profiles/data/{place}/attributes/{wrong}"},
        },
    }


def _answer(body: object, status: int = 200) -> web.Response:
    limits = {"RateLimit-Limit": "150", "RateLimit-Remaining": "149", "RateLimit-Reset": "60"}
    return json_answer(body, status, limits, KIND)


def _error(status: int, code: str, pointer: str = "", wait: float | None = None) -> Refusal:
    """Return a refusal; its text quotes what was sent, as the real one's may."""
    entry = {
        "id": letters(20),
        "status": status,
        "code": code,
        "title": "Refused",
        "detail": "Sandbox refuses person@example.com",
        "source": {"pointer": pointer},
    }
    headers = {"Retry-After": str(math.ceil(wait or 1))} if status == 429 else {}
    return Refusal({"errors": [entry]}, status, headers)
