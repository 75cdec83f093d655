"""Who is let in."""

import hashlib
import hmac
from urllib.parse import urlsplit

from aiohttp import web

from producer.answers import refused
from producer.settings import ServerSettings, is_loopback

OPEN_PATHS = frozenset({"/healthz", "/readyz"})


def check_access(request: web.Request, settings: ServerSettings) -> None:
    """Let a request pass, or raise Refused.

    With tokens, one of them must be sent, save for the health paths. Without, only this machine is let in, and
    no web page: a page that somebody opens on this machine must not be able to post audiences.
    """
    if not settings.tokens:
        _check_local(request)
    elif request.path not in OPEN_PATHS and not _has_token(request, settings):
        raise refused(
            401,
            "Authorization: send Bearer and a token",
            headers={"WWW-Authenticate": 'Bearer realm="audience"'},
        )


def _has_token(request: web.Request, settings: ServerSettings) -> bool:
    """Compare with every token, in a time that tells nothing of them."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    digest = hashlib.sha256(sent.strip().encode(errors="surrogateescape")).digest()
    matches = [
        hmac.compare_digest(digest, hashlib.sha256(token.get_secret_value().encode()).digest())
        for token in settings.tokens
    ]
    return scheme.lower() == "bearer" and any(matches)


def _check_local(request: web.Request) -> None:
    host = request.headers.get("Host", "")
    if not is_loopback(_hostname(host)):
        raise refused(403, "Host: use localhost, or set AUDIENCE_API_TOKENS on the server")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        raise refused(403, "Origin: web pages of other origins are not let in")


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
