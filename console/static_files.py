"""The console's own style sheet, scripts and icon, from the package."""

import hashlib
from importlib.resources import files

from aiohttp import ETag, web

from console.rendering import HEADERS

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def static_routes() -> list[web.RouteDef]:
    """Return a path for each file; what is no file has none."""
    found = (files("console") / "static").iterdir()
    return [_route(entry.name, entry.read_bytes()) for entry in sorted(found, key=lambda entry: entry.name)]


def _route(name: str, content: bytes) -> web.RouteDef:
    tag = ETag(hashlib.sha256(content).hexdigest()[:32])
    kind = TYPES[name.rpartition(".")[2]]

    async def send(request: web.Request) -> web.Response:
        """Send the file, unless the browser has this very one."""
        known = request.if_none_match or ()
        is_known = any(one.value == tag.value for one in known)
        response = web.Response(status=304) if is_known else web.Response(body=content, content_type=kind)
        response.headers.update({**HEADERS, "Cache-Control": "no-cache"})
        response.etag = tag
        return response

    return web.get(f"/console/{name}", send, allow_head=False)
