"""How Klaviyo words its errors."""

import math
import uuid
from collections.abc import Mapping, Sequence

from aiohttp import web

from sandbox.kit.platform import json_answer

KIND = "application/vnd.api+json"

# Title and detail of each code. The codes of 401, 403, 410, 413 and 415 are not documented: taken from public examples.
WORDS: Mapping[str, tuple[int, str, str]] = {
    "invalid": (400, "Invalid input.", "The payload provided in the request is invalid."),
    "not_authenticated": (401, "Authentication credentials were not provided.", "Missing or invalid private key."),
    "authentication_failed": (401, "Incorrect authentication credentials.", "Incorrect authentication credentials."),
    "permission_denied": (403, "You do not have permission to perform this action.", "The key lacks a scope."),
    "not_found": (404, "Not found.", "A resource with the given id does not exist."),
    "revision_retired": (410, "Gone.", "The revision has been retired."),
    "payload_too_large": (413, "Payload too large.", "The body exceeds 5 MB."),
    "unsupported_media_type": (415, "Unsupported media type.", "Expected application/vnd.api+json."),
    "throttled": (429, "Request was throttled.", "Request was throttled. Expected available in {wait} second(s)."),
    "error": (503, "Service unavailable.", "The service is temporarily unavailable."),
}


def klaviyo_error(
    code: str, *, pointer: str = "", parameter: str = "", wait: float = 1, pointers: Sequence[str] = ()
) -> web.Response:
    """Return Klaviyo's answer for an error at a place in the body, or several, or in a parameter of the query."""
    status, title, detail = WORDS[code]
    seconds = math.ceil(wait)
    sources = (
        [{"parameter": parameter}] if parameter else [{"pointer": at} for at in pointers or (pointer or "/data/",)]
    )
    errors = [
        {
            "id": str(uuid.uuid4()),
            "status": status,
            "code": code,
            "title": title,
            "detail": detail.format(wait=seconds),
            "source": source,
            "links": {},
            "meta": {},
        }
        for source in sources
    ]
    return json_answer({"errors": errors}, status, {"Retry-After": str(seconds)} if status == 429 else {}, KIND)
