"""Who is let in."""

import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web
from pydantic import SecretStr

from producer.answers import Refused, refused
from producer.settings import Address, ServerSettings, is_loopback

LOOKING = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
DESCRIPTION_PATHS = frozenset({"/openapi.json", "/asyncapi.json", "/docs", "/docs/style.css"})
"""What the server describes of itself: no secret, yet nobody elsewhere need know what can be asked here."""


def check_access(request: web.Request, settings: ServerSettings) -> None:
    """Let a request pass, or raise Refused.

    With tokens, one of them must be sent, save for the health paths, and for descriptions that are read on this
    machine. Without, only this machine is let in, and no web page: a page that somebody opens on this machine must not
    be able to post audiences.
    """
    if not settings.tokens:
        _check_local(request)
    elif request.path not in OPEN_PATHS and not _is_description_on_loopback(request, settings):
        _check_token(request, settings)


def _is_description_on_loopback(request: web.Request, settings: ServerSettings) -> bool:
    """Tell whether a description is asked for by the name of this machine itself, where only it can listen.

    Who listens for others gets callers of this machine by a proxy, too: so what counts is where the server listens,
    not who calls. A proxy before a server that listens on loopback is known by its `Host`, where it hands that on.
    """
    is_local = settings.listen.is_loopback and is_loopback(_hostname(request.headers.get("Host", "")))
    return is_local and request.path in DESCRIPTION_PATHS


def _check_token(request: web.Request, settings: ServerSettings) -> None:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not sent.strip():
        raise _unauthorized("Authorization: send Bearer and a token")
    if is_one_of(sent.strip(), settings.tokens):
        return
    if not is_one_of(sent.strip(), settings.read_tokens):
        raise _unauthorized("Authorization: this token is none of those in AUDIENCE_API_TOKENS of the server")
    if request.method not in LOOKING:
        raise refused(403, "Authorization: this token may only look; send one of AUDIENCE_API_TOKENS to upload")


def _unauthorized(message: str) -> Refused:
    return refused(401, message, headers={"WWW-Authenticate": 'Bearer realm="audience"'})


def is_one_of(sent: str, tokens: Iterable[SecretStr]) -> bool:
    """Compare with every token, in a time that tells nothing of them."""
    digest = hashlib.sha256(sent.encode(errors="surrogateescape")).digest()
    matches = [
        hmac.compare_digest(digest, hashlib.sha256(token.get_secret_value().encode()).digest()) for token in tokens
    ]
    return any(matches)


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


def own_origin(request: web.Request) -> str:
    """Return the URL of the address that a request came to; nothing where the client is gone."""
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return f"http://{Address(host=name[0], port=name[1])}" if name else ""
