"""Refusals that come before a request is sent, from servers that then read no further.

With asyncio a write that fails ends the connection with all that was received, the refusal with it. That looks like
a lost connection, and the same would be sent for ever. The head alone brings the refusal.
"""

from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

import httpcore2
import httpx2

from audience_client.http.exchange import Answer, NoAnswer, Reply, Request

ONE_WRITE = 64 * 1024
"""Bytes of a form that the library writes at once: after these it looks for the answer."""

HEAD_TIMEOUT = 3.0
"""Seconds in which a server refuses a head if it does so at all; else it waits for the body."""

REFUSED_BY_HEAD = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    }
)


class _NoBody(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that is never sent: after this error the library goes on to read the answer (httpcore2's `http11.py`)."""

    def __iter__(self) -> Iterator[bytes]:
        raise httpcore2.WriteError

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise httpcore2.WriteError


def head_alone(built: httpx2.Request) -> httpx2.Request:
    """Return a request of which only the head is sent, so that nothing can come of it but a refusal."""
    timeout = httpx2.Timeout(HEAD_TIMEOUT).as_dict()
    return httpx2.Request(
        built.method, built.url, headers=built.headers, stream=_NoBody(), extensions={"timeout": timeout}
    )


def is_head_needed(request: Request, reply: Reply) -> bool:
    """Tell whether a refusal may have been lost with the connection."""
    size = sum(map(len, request.parts.values()))
    return size > ONE_WRITE and isinstance(reply, NoAnswer) and reply.is_cut


def is_refused_by_head(reply: Reply) -> bool:
    """Tell whether what came of a head alone is an answer to the request."""
    return isinstance(reply, Answer) and reply.status in REFUSED_BY_HEAD
