"""`Expect: 100-continue`: a client that waits for a word before it sends its body."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.http import HttpVersion11, RawRequestMessage
from multidict import CIMultiDictProxy

from producer.answers import refused

EXPECT = "Expect"
EXPECTED = web.RequestKey("expected", str)

RequestFactory = Callable[..., web.BaseRequest]


def without_expect(make: RequestFactory) -> RequestFactory:
    """Return a factory of requests that puts the header aside; the framework would answer it before we judge."""

    def make_request(message: RawRequestMessage, *rest: object) -> web.BaseRequest:
        expected = message.headers.get(EXPECT)
        if expected is None:
            return make(message, *rest)
        every = message.headers.getall(EXPECT)
        kept = message.headers.copy()
        del kept[EXPECT]
        request = make(message._replace(headers=CIMultiDictProxy(kept)), *rest)
        request[EXPECTED] = ", ".join(every).strip().lower()
        return request

    return make_request


def check_expectation(request: web.Request) -> None:
    """Raise Refused (417) for what we don't know. HTTP/1.0 knows no expectations."""
    if request.version >= HttpVersion11 and request.get(EXPECTED, "") not in ("", "100-continue"):
        raise refused(417, "Expect: send 100-continue, or leave it out")


def is_awaiting(request: web.Request) -> bool:
    """Tell whether the client waits before it sends its body."""
    return bool(request.version >= HttpVersion11 and request.get(EXPECTED) == "100-continue")


async def invite(request: web.Request) -> None:
    """Tell a client that waits to send its body: everything before that is judged. Raises ConnectionError."""
    if is_awaiting(request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # no answer has begun
        await request.writer.drain()
