"""Pages from templates: escaped, and with the headers that keep everything else out of them."""

from collections.abc import Mapping
from importlib.resources import files

from aiohttp import web
from jinja2 import Environment, FunctionLoader, StrictUndefined

from console.formats import machine_time, moment, number, path_part, percent, share, span

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Nothing is kept, nothing is loaded from elsewhere, and no other site is told which page led to it."""

STATE_WORDS: Mapping[str, str] = {
    "delivered": "Delivered",
    "partial": "Partly delivered",
    "failed": "Failed",
    "in_progress": "Under way",
    "incomplete": "Batches missing",
    "blocked": "Blocked",
    "nobody": "For nobody",
    "waiting": "Waiting",
    "retrying": "Trying again",
    "skipped": "Skipped",
    "running": "Running",
    "throttled": "Throttled",
}


def _source(name: str) -> str | None:
    found = files("console") / "templates" / name
    return found.read_text(encoding="utf-8") if found.is_file() else None


def templates() -> Environment:
    """Return the templates. What one of them names and is not given is an error, not a gap on the page."""
    environment = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "number": number,
        "moment": moment,
        "machine_time": machine_time,
        "span": span,
        "path_part": path_part,
    }
    environment.globals |= {"STATE_WORDS": STATE_WORDS, "percent": percent, "share": share}
    return environment


def html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return a page."""
    return web.Response(
        text=text, status=status, content_type="text/html", charset="utf-8", headers={**HEADERS, **(headers or {})}
    )
