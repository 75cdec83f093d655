"""What the head of a request says of its body: its type, its encoding and its length."""

import re

from aiohttp import web

from producer.answers import malformed, refused
from producer.settings import ServerSettings
from producer.transport.body_mistakes import mistake

FORM = "multipart/form-data"

_BOUNDARY = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)")


async def check_head(request: web.Request, settings: ServerSettings) -> None:
    """Raise Refused for an encoding (415), for what is no form data (400) and for too much (413)."""
    if ", ".join(request.headers.getall("Content-Encoding", [])).strip().lower() not in ("", "identity"):
        raise refused(415, "Content-Encoding: send the body as it is, without one")
    if request.headers.get("Transfer-Encoding", "chunked").lower() != "chunked":
        raise refused(415, "Transfer-Encoding: send chunked, or a Content-Length instead")
    if media_type(request) != FORM:
        raise malformed(f"Content-Type: expected {FORM}{await mistake(request, media_type(request))}")
    if not boundary_of(request):
        raise malformed(f"Content-Type: expected a boundary{await mistake(request, FORM)}")
    if (request.content_length or 0) > settings.max_body:
        raise refused(413, too_large(settings))


def too_large(settings: ServerSettings) -> str:
    """Say how much a request may hold."""
    return f"body: send at most {settings.max_body} bytes, in several batches if need be"


def media_type(request: web.Request) -> str:
    """Return the type of a body without parameters, in lower case."""
    return request.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def boundary_of(request: web.Request) -> bytes:
    """Return the boundary, quoted or not, empty where there is none.

    Many clients don't quote what RFC 2046 says must be quoted, such as `=` and `:`.
    """
    found = _BOUNDARY.search(request.headers.get("Content-Type", ""))
    if found is None:
        return b""
    text = found[2] if found[1] is None else _ESCAPED.sub(r"\1", found[1])
    return text.encode(errors="surrogateescape")
