"""What the server answers about itself; made once, as it does not change while the server runs."""

from dataclasses import dataclass

import msgspec
from aiohttp import web

from producer.api_description.asyncapi import asyncapi
from producer.api_description.openapi import openapi
from producer.api_description.page import STYLE, page, style
from producer.api_description.table import OPERATIONS
from producer.api_description.topic_channels import channels
from producer.request.query_names import refuse_names
from producer.settings import ServerSettings
from streams.cluster.topics import TopicNames

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing is run, and nothing comes from elsewhere. The empty icon, which stops browsers asking for one, is data."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiDescription:
    """Handlers of `GET /openapi.json`, `/asyncapi.json` and `/docs`."""

    http: bytes
    topics: bytes
    html: str
    css: str

    def routes(self) -> list[web.RouteDef]:
        """Return the paths and their handlers."""
        return [
            web.get("/openapi.json", self.openapi, allow_head=False),
            web.get("/asyncapi.json", self.asyncapi, allow_head=False),
            web.get("/docs", self.page, allow_head=False),
            web.get(STYLE, self.style, allow_head=False),
        ]

    async def openapi(self, request: web.Request) -> web.Response:
        """Describe the HTTP API. Raises Refused."""
        refuse_names(request)
        return web.Response(body=self.http, content_type="application/json")

    async def asyncapi(self, request: web.Request) -> web.Response:
        """Describe the topics. Raises Refused."""
        refuse_names(request)
        return web.Response(body=self.topics, content_type="application/json")

    async def page(self, request: web.Request) -> web.Response:
        """Show both to a person."""
        del request
        return web.Response(text=self.html, content_type="text/html", headers=_HEADERS)

    async def style(self, request: web.Request) -> web.Response:
        """Answer with the style sheet of the page."""
        del request
        return web.Response(text=self.css, content_type="text/css", headers=_HEADERS)


def api_description(settings: ServerSettings, names: TopicNames) -> ApiDescription:
    """Return what a server with these settings and topics says of itself."""
    http, topics = openapi(OPERATIONS, settings), asyncapi(channels(names), names)
    return ApiDescription(
        http=msgspec.json.encode(http), topics=msgspec.json.encode(topics), html=page(http, topics), css=style()
    )
