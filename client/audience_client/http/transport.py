"""The border to the HTTP library: its requests, its settings, and its errors as values.

Its exceptions hold requests, and these the users: none leaves this module's callers, and none is chained to ours.
"""

import io
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx2

from audience_client.errors import InputError
from audience_client.http.address import Address
from audience_client.http.batches import Content
from audience_client.http.exchange import Answer, NoAnswer, Request

CONNECT_TIMEOUT = 10.0
"""Seconds in which a connection must stand."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Where no proxy of the environment is asked."""

C = TypeVar("C", httpx2.Client, httpx2.AsyncClient)

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


def opened(kind: Callable[..., C], address: Address, timeout: float) -> C:
    """Return a client of the library; it follows no redirection, so a token goes nowhere else. Raises InputError."""
    token = {} if address.token is None else {"Authorization": f"Bearer {address.token}".encode()}
    try:
        return kind(
            headers={"User-Agent": "audience-client", "Accept": "application/json", **token},
            timeout=httpx2.Timeout(timeout, connect=min(timeout, CONNECT_TIMEOUT), pool=None),
            follow_redirects=False,
            trust_env=urlsplit(address.url).hostname not in _LOOPBACK,
            verify=_authorities(),
        )
    except (ImportError, ValueError, httpx2.InvalidURL):
        raise InputError(
            "HTTP_PROXY, HTTPS_PROXY, ALL_PROXY or NO_PROXY: expected URLs such as http://proxy.example.com:3128; "
            "for a socks proxy pip install socksio"
        ) from None


def _authorities() -> ssl.SSLContext:
    """Return whose certificates are good: those of the system, or of what SSL_CERT_FILE names."""
    try:
        return httpx2.create_ssl_context()
    except OSError:
        raise InputError("SSL_CERT_FILE or SSL_CERT_DIR: no certificates can be read there") from None


def arguments(address: Address, request: Request) -> dict[str, Any]:
    """Return what the library is told of a request; each call may be sent once."""
    return {
        "method": request.method,
        "url": f"{address.url}{request.path}",
        "params": dict(request.query) or None,
        "files": [(name, (None, _opened(value))) for name, value in request.parts.items()] or None,
    }


def _opened(value: bytes | Content) -> BinaryIO:
    return io.BytesIO(value) if isinstance(value, bytes) else value.open()


def answer(response: httpx2.Response) -> Answer:
    """Return a response that was read."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, body=response.content)


def no_answer(error: httpx2.RequestError, url: str, handled: BaseException | None) -> NoAnswer:
    """Return what an error means, in words that repeat nothing of the request but where it was to go.

    `handled` is what was being handled before the request was sent, and has nothing to do with it.
    """
    for cause in _causes(error, handled):
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


def _causes(error: BaseException | None, handled: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that led to it, which only the context says: the library raises `from None`."""
    while error is not None and error is not handled:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in error.exceptions:
                yield from _causes(one, handled)
        error = error.__cause__ or error.__context__
