"""A request before it is written: its first line, headers and body, still to be spoilt."""

import json
import random
from dataclasses import dataclass, field

from checks.clients import Capture

MARK = "qz7x"
"""Stands in every value that is made up here, and in nothing of ours: no answer and no log may have it."""

PEOPLE = ("soren@example.com", "ada@example.com", "alan@example.com", "Lovelace", "4520123456", "14155550100")
"""Values of the recorded requests that nothing else has."""

BOUNDARY = b"----made-up-boundary"

Header = tuple[bytes, bytes]


@dataclass(slots=True, kw_only=True)
class Draft:
    """What a request is made of. `kinds` says what was done to it."""

    method: bytes = b"POST"
    target: bytes = b"/audience"
    version: bytes = b"HTTP/1.1"
    headers: list[Header] = field(default_factory=list)
    body: bytes = b""
    line_end: bytes = b"\r\n"
    is_framed: bool = False
    """Whether the headers say already how long the body is."""
    is_whole: bool = True
    kinds: list[str] = field(default_factory=list)

    def put(self, name: bytes, value: bytes) -> None:
        """Set a header in place of those of this name."""
        self.drop(name)
        self.headers.append((name, value))

    def drop(self, name: bytes) -> None:
        """Leave a header out."""
        self.headers = [(mine, value) for mine, value in self.headers if mine.lower() != name.lower()]

    def written(self) -> bytes:
        """Return the bytes."""
        framing = [] if self.is_framed else [(b"Content-Length", str(len(self.body)).encode())]
        lines = [b" ".join((self.method, self.target, self.version))]
        lines += [name + b": " + value for name, value in (*self.headers, *framing)]
        return self.line_end.join((*lines, b"", self.body))


@dataclass(slots=True, kw_only=True)
class Part:
    """A part of a form: header lines and content."""

    lines: list[bytes]
    content: bytes


def mark(chance: random.Random) -> str:
    """Return a value that is recognised wherever it turns up."""
    return f"{MARK}{chance.randrange(10**6)}"


def make_parts(chance: random.Random) -> list[Part]:
    """Return the parts of an upload that is right."""
    users = [
        {"email": f"{mark(chance)}@example.com", "firstName": mark(chance), "phone": "+14155550199"}
        for _ in range(chance.randint(1, 4))
    ]
    batch = {"sessionId": chance.randrange(10**9), "sequence": 1, "totalBatches": 1, "totalUsers": len(users)}
    texts = {"name": mark(chance), "type": "custom", "batch": json.dumps(batch), "users": json.dumps(users)}
    return [Part(lines=[_disposition(name)], content=text.encode()) for name, text in texts.items()]


def _disposition(name: str) -> bytes:
    return f'Content-Disposition: form-data; name="{name}"'.encode()


def joined(parts: list[Part], boundary: bytes = BOUNDARY) -> bytes:
    """Return a multipart body."""
    rows = [b"\r\n".join((b"--" + boundary, *part.lines, b"", part.content)) for part in parts]
    return b"\r\n".join((*rows, b"--" + boundary + b"--", b""))


def built(body: bytes) -> Draft:
    """Return an upload with this body."""
    headers = [
        (b"Host", b"127.0.0.1"),
        (b"Authorization", b"Bearer made-up-token"),
        (b"Content-Type", b"multipart/form-data; boundary=" + BOUNDARY),
    ]
    return Draft(headers=headers, body=body)


def recorded(capture: Capture) -> Draft:
    """Return a recorded request, its framing as it was; it does not wait for the platforms."""
    head, _, body = capture.request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, target, version = first.split(b" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    quick = target.replace(b"sync=true", b"sync=false")
    return Draft(method=method, target=quick, version=version, headers=headers, body=body, is_framed=True)
