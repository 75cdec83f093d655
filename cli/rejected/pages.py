"""The rejected users of a session or a batch, as the server tells them page by page."""

from collections.abc import AsyncIterator
from urllib.parse import quote

from cli.server_client import Server
from ledger.resources import RejectedPage, SessionRejectedPage
from schemas.validity import is_uuid

PAGE = 10_000

Page = RejectedPage | SessionRejectedPage


async def rejected_pages(server: Server, place: str) -> AsyncIterator[Page]:
    """Yield the pages of what a batch id, or else a session's id, names. Raises StatusError."""
    shape: type[Page] = RejectedPage if is_uuid(place) else SessionRejectedPage
    kind = "batches" if shape is RejectedPage else "sessions"
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
        body = await server.get(f"/audience/{kind}/{quote(place, safe='')}/rejected", query)
        page = server.decode(body, shape)
        yield page
        cursor = page.next
