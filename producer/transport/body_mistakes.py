"""Everyday mistakes with a whole body, and the sentence that helps."""

import asyncio
import re

from aiohttp import web

from producer.transport.expect_header import is_awaiting

HEAD = 512
"""Bytes of a body that tell what it is."""

HEAD_TIMEOUT = 1.0
"""Seconds that these may take; without them the answer is just shorter."""

AS_PARTS = "send every field as a part, such as with curl -F, files= in Python or MultipartBody in Java"
OBJECT = "the body is the text [object FormData]: your client does not know this FormData; use the client's own"
JSON = "this body is JSON: send it as the part users, beside the parts name and batch"
URLENCODED = f"this body is urlencoded: {AS_PARTS}"
BY_HAND = "let your client set this header, as only it knows the boundary"

_OTHER_MULTIPART = "name it so, such as with setType(MultipartBody.FORM) of OkHttp"
_URLENCODED = re.compile(rb"[\w.\-+%\[\]]+=")
_JSON = re.compile(rb'\s*(?:\[|\{\s*")')
_OBJECT = re.compile(rb"\[object \w+\]\Z")


async def mistake(request: web.Request, media_type: str) -> str:
    """Return what to do instead where a body shows what went wrong, as the end of a sentence; else nothing."""
    if media_type.startswith("multipart/") and media_type != "multipart/form-data":
        return f"; {_OTHER_MULTIPART}"
    hint = hint_in(await _head(request))
    return f"; {hint}" if hint else ""


def hint_in(head: bytes) -> str | None:
    """Return what is wrong with a body that begins so, None where that does not show."""
    if _OBJECT.match(head):
        return OBJECT
    if head.startswith(b"--"):
        return BY_HAND
    if _JSON.match(head):
        return JSON
    return URLENCODED if _URLENCODED.match(head) else None


async def _head(request: web.Request) -> bytes:
    """Return how a body begins, empty where the client waits for us, or nothing comes soon."""
    if is_awaiting(request):
        return b""
    try:
        async with asyncio.timeout(HEAD_TIMEOUT):
            return (await request.content.readany())[:HEAD]
    except (TimeoutError, ConnectionError, web.RequestPayloadError):
        return b""
