"""The border to the HTTP library: its requests, its settings, and its errors as values.

Its exceptions hold requests, and these the users: none leaves this module's callers, and none is chained to ours.
"""

import io
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any

import httpcore2
import httpx2

from audience_client.http.address import Address
from audience_client.http.exchange import Answer, NoAnswer, Reply, Request

CONNECT_TIMEOUT = 10.0
"""Seconds in which a connection must stand."""

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""Where no proxy of the environment is asked."""

_WORDS: tuple[tuple[type[httpx2.RequestError], str], ...] = (
    (httpx2.ConnectTimeout, "no connection came about in time"),
    (httpx2.ReadTimeout, "no answer came in time"),
    (httpx2.WriteTimeout, "the request could not be sent in time"),
    (httpx2.ProxyError, "the proxy that the environment names did not connect"),
    (httpx2.ConnectError, "there is no connection"),
    (httpx2.RemoteProtocolError, "the connection ended before an answer was there"),
    (httpx2.NetworkError, "the connection was lost"),
)
_FINAL = (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
_CUT = (httpx2.ReadError, httpx2.WriteError, httpx2.CloseError, httpx2.RemoteProtocolError)

ONE_WRITE = 64 * 1024
"""Bytes of a form that the library writes at once: after these it looks for the answer."""

HEAD_TIMEOUT = 3.0
"""Seconds in which a server refuses a head if it does so at all; else it waits for the body."""

_REFUSED_BY_HEAD = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    }
)


def settings(address: Address, timeout: float) -> dict[str, Any]:
    """Return how clients of the library are made: redirections are not followed, so a token goes nowhere else."""
    token = {} if address.token is None else {"Authorization": f"Bearer {address.token}".encode()}
    return {
        "headers": {"User-Agent": "audience-client", "Accept": "application/json", **token},
        "timeout": httpx2.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT), pool=None),
        "follow_redirects": False,
        "mounts": {f"all://{host}": None for host in _LOOPBACK},
    }


def arguments(address: Address, request: Request) -> dict[str, Any]:
    """Return what the library is told of a request; each call may be sent once."""
    return {
        "method": request.method,
        "url": f"{address.url}{request.path}",
        "params": dict(request.query) or None,
        "files": [(name, (None, io.BytesIO(value))) for name, value in request.parts.items()] or None,
    }


class _NoBody(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that is never sent: after this error the library goes on to read the answer (httpcore2's `http11.py`)."""

    def __iter__(self) -> Iterator[bytes]:
        raise httpcore2.WriteError

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise httpcore2.WriteError


def head_alone(built: httpx2.Request) -> httpx2.Request:
    """Return a request of which only the head is sent.

    A server that refuses a large body before it has come, and closes, is not heard: with asyncio a failing write ends
    the connection with all that was received. The head alone brings its refusal, and can bring nothing else.
    """
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
    return isinstance(reply, Answer) and reply.status in _REFUSED_BY_HEAD


def answer(response: httpx2.Response) -> Answer:
    """Return a response that was read."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, body=response.content)


def no_answer(error: httpx2.RequestError, url: str) -> NoAnswer:
    """Return what an error means, in words that repeat nothing of the request but where it was to go."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NoAnswer(words=f"{url}: its certificate is not valid ({cause.verify_message})", is_final=True)
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            return NoAnswer(words=f"{url}: no TLS is spoken there; write http:// if that is meant", is_final=True)
        if isinstance(cause, socket.gaierror):
            return NoAnswer(words=f"{url}: the host's name can't be resolved")
        if isinstance(cause, ConnectionRefusedError):
            return NoAnswer(words=f"{url}: nothing listens there")
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), "the request failed")
    is_final, is_cut = isinstance(error, _FINAL), isinstance(error, _CUT)
    return NoAnswer(words=f"{url}: {words}", is_final=is_final, is_cut=is_cut)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that led to it."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__
