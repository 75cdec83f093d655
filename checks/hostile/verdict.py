"""Whether an answer to a hostile request is one that we give, and gives nothing away."""

import json
import re
from collections.abc import Iterator

from checks.hostile.draft import MARK, PEOPLE
from checks.wire import Reply

MALFORMED = "Malformed request body, must be form data ("
NO_USERS = "No users in the segment. Segment cannot be created."

_SECRET = re.compile("|".join(map(re.escape, (MARK, *PEOPLE, "made-up-token"))).encode(), re.IGNORECASE)
_TROUBLE = re.compile(rb"Traceback|by a bug|Task exception was never retrieved|Unhandled exception")

ANSWERS = frozenset({200, 503, 504})
"""What is answered besides refusals."""


def faults_of(reply: Reply) -> Iterator[str]:
    """Yield what is wrong with an answer; never what it says."""
    if _SECRET.search(reply.head + reply.body):
        yield f"{reply.status}: the answer repeats what was sent"
    if not 400 <= reply.status < 500:
        if reply.status not in ANSWERS and not _is_to_sign_in(reply):
            yield f"{reply.status}: none of our answers"
    elif not _is_ours(reply):
        kind = reply.headers.get("content-type", "no type").partition(";")[0]
        yield f"{reply.status}: a refusal that is not in our form, but {kind}"


def _is_to_sign_in(reply: Reply) -> bool:
    """Tell whether an answer sends a browser to the console's form."""
    return reply.status == 303 and re.match("/sign-in([?]|$)", reply.headers.get("location", "")) is not None


def _is_ours(reply: Reply) -> bool:
    """Tell whether a refusal has our form, or is one of the two plain texts."""
    text = reply.body.decode("utf-8", "replace")
    if reply.status == 400 and reply.headers.get("content-type", "").startswith("text/plain"):
        return text.startswith(MALFORMED) or text == NO_USERS
    try:
        told = json.loads(text)
    except ValueError:
        return False
    is_told = isinstance(told, dict) and told.get("success") is False
    return is_told and bool(told.get("errors")) and all(isinstance(error, str) for error in told["errors"])


def faults_of_log(log: bytes) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a server's log, and in which line, never with its text.

    An upload that is accepted is known by its audience's name, which is the client's own.
    """
    for number, line in enumerate(log.split(b"\n"), 1):
        if _SECRET.search(_without_audience(line)):
            yield "the log has what was sent", f"line {number}"
        yield from ((fault, f"line {number}") for fault in bugs_of_line(line))


def bugs_of_line(line: bytes) -> Iterator[str]:
    """Yield what a line of a log says of a bug."""
    if found := _TROUBLE.search(line):
        yield f"the log says {found[0].decode()!r}"


def _without_audience(line: bytes) -> bytes:
    try:
        found = json.loads(line)
    except ValueError:
        return line
    if not isinstance(found, dict) or found.get("event") != "Upload accepted.":
        return line
    return json.dumps({name: value for name, value in found.items() if name != "audience"}).encode()
