"""Who looks at a page, and what they may."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from aiohttp import web

from console.cookies import NAME, is_signed_by
from producer.settings import ServerSettings

OWN = frozenset(
    {"", "sessions", "accounts", "audiences", "dead-letters", "decisions", "upload", "console", "sign-in", "sign-out"}
)
"""How the console's paths begin."""

OPEN = frozenset({"console", "sign-in", "sign-out"})
"""Those of them that need no sign-in: it is made of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What somebody may; `can_sign_out` where they have signed in."""

    may_look: bool
    may_upload: bool
    can_sign_out: bool


NOBODY = Identity(may_look=False, may_upload=False, can_sign_out=False)
THIS_MACHINE = Identity(may_look=True, may_upload=True, can_sign_out=False)
"""Without tokens only this machine is let in, and may do everything."""


def identity_of(request: web.Request, settings: ServerSettings, now: datetime) -> Identity:
    """Return what a request's cookie is worth."""
    if not settings.tokens:
        return THIS_MACHINE
    cookie = request.cookies.get(NAME, "")
    if is_signed_by(cookie, settings.tokens, now):
        return Identity(may_look=True, may_upload=True, can_sign_out=True)
    if is_signed_by(cookie, settings.read_tokens, now):
        return Identity(may_look=True, may_upload=False, can_sign_out=True)
    return NOBODY


def first_segment(path: str) -> str:
    """Return how a path begins."""
    return path.removeprefix("/").partition("/")[0]


def is_own(path: str) -> bool:
    """Tell whether a path is one of the console's; `//audience` is not, though it begins with an empty segment."""
    return path.startswith("/") and not path.startswith("//") and first_segment(path) in OWN


def is_of_own_page(request: web.Request, settings: ServerSettings) -> bool:
    """Tell whether a page of ours sent a request, by what no page can make up: every change asks for that."""
    if (site := request.headers.get("Sec-Fetch-Site")) is not None:
        return site == "same-origin"
    origin = urlsplit(request.headers.get("Origin", ""))
    own = {request.host, urlsplit(settings.public_url or "").netloc} - {""}
    return origin.scheme in ("http", "https") and origin.netloc in own


def is_over_tls(request: web.Request, settings: ServerSettings) -> bool:
    """Tell whether a browser has come by https, perhaps to a proxy before us."""
    by_proxy = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    return request.secure or by_proxy or (settings.public_url or "").startswith("https://")
