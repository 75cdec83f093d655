"""The page that shows the API's description to a person: made here once, without a script, of the two documents."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

Json = Mapping[str, Any]

STYLE = "/docs/style.css"

_CODE = re.compile(r"`([^`]*)`")

_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "minLength": "characters: at least {}",
    "maxLength": "characters: at most {}",
    "minItems": "number: at least {}",
    "maxItems": "number: at most {}",
    "format": "{}",
    "pattern": "matches {}",
    "default": "{} where it is left out",
}
"""What is said of a value besides its type."""


def page(openapi: Json, asyncapi: Json) -> str:
    """Return the page as HTML."""
    environment = Environment(
        loader=PackageLoader("producer.api_description", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(prose=_prose, bounds=_bounds, slug=_slug)
    return environment.get_template("page.html.jinja").render(openapi=openapi, asyncapi=asyncapi, style=STYLE)


def style() -> str:
    """Return the style sheet of the page."""
    return files("producer.api_description").joinpath("page.css").read_text(encoding="utf-8")


def _prose(text: str) -> Markup:
    """Return a text with what stands between backticks as code."""
    pieces = _CODE.split(text)
    return Markup("").join(Markup("<code>{}</code>").format(one) if at % 2 else one for at, one in enumerate(pieces))


def _bounds(schema: Json) -> str:
    """Return what a schema says of a value besides its type, None where it may be nothing."""
    found = [text.format(schema[name]) for name, text in _BOUNDS.items() if schema.get(name) is not None]
    return ", ".join(found)


def _slug(path: str) -> str:
    """Return a text as an anchor may be called."""
    return re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-").lower()
