"""Where the server is and what lets us in: what is given, else what the environment says."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from audience_client.errors import InputError

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server's URL, without a slash at its end, and a token that only goes there."""

    url: str
    token: str | None = field(default=None, repr=False)


def address(url: str | None, token: str | None, environ: Mapping[str, str] = os.environ) -> Address:
    """Return where the server is. Raises InputError, which repeats neither a URL nor a token."""
    named = url or environ.get("AUDIENCE_URL") or DEFAULT_URL
    shown = "url" if url else "AUDIENCE_URL"
    secret = (token or environ.get("AUDIENCE_TOKEN") or "").strip()
    if not secret.isprintable() or " " in secret:
        raise InputError(f"{'token' if token else 'AUDIENCE_TOKEN'}: expected one word without blanks")
    return Address(url=_checked(named.strip(), shown), token=secret or None)


def _checked(text: str, shown: str) -> str:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, UnicodeError):
        raise InputError(f"{shown}: {_EXPECTED}") from None
    if url.scheme not in ("http", "https") or not url.host or not text.isprintable() or " " in text:
        raise InputError(f"{shown}: {_EXPECTED}")
    if url.userinfo:
        raise InputError(f"{shown}: give credentials as a token, not within the URL")
    if url.query or url.fragment:
        raise InputError(f"{shown}: leave out what begins with ? or #")
    return str(url).rstrip("/")


_EXPECTED = "expected http:// or https://, a host, and perhaps a path, such as https://lists.example.com"
