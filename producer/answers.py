"""What the endpoint answers, to the letter."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from aiohttp import web

from ledger.arrivals import Contradiction, Misfit
from schemas.error_words import VOCABULARY
from streams.client.errors import RecordRefusedError

RETRY_AFTER = {"Retry-After": "5"}
"""Seconds; long enough for a queue to drain, short enough for a client to stay."""

BUG = "server: an unexpected error, which its log describes; send the request again"


MALFORMED = "Malformed request body, must be form data"
NO_USERS = "No users in the segment. Segment cannot be created."
"""The two refusals that are plain text; the first has details in brackets."""


class Refused(Exception):  # noqa: N818 -- an answer, raised where it is decided
    """The request is not accepted; carries the answer."""

    def __init__(self, response: web.Response, why: str) -> None:
        super().__init__(why)
        self.response = response
        self.why = why


def success(extra: Mapping[str, object], headers: Mapping[str, str]) -> web.Response:
    """Return 200."""
    return _json({"success": True, **extra}, 200, headers)


def failure(
    status: int, errors: Sequence[str], headers: Mapping[str, str] | None = None, **extra: object
) -> web.Response:
    """Return a failure in the usual form."""
    return _json({"success": False, "errors": list(errors), **extra}, status, headers or {})


def _json(body: Mapping[str, object], status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(text=json.dumps(body), status=status, headers=dict(headers), content_type="application/json")


def refused(status: int, *errors: str, headers: Mapping[str, str] | None = None) -> Refused:
    """Return a refusal in the usual form."""
    return Refused(failure(status, errors, headers), "; ".join(errors))


def closing(refusal: Refused) -> Refused:
    """Let the connection be closed behind a refusal."""
    refusal.response.force_close()
    return refusal


def no_room(why: str) -> Refused:
    """Return 503: nothing was accepted."""
    return refused(503, f"{why}; nothing was accepted, send the request again", headers=RETRY_AFTER)


def refused_by_kafka(error: RecordRefusedError, batch_id: str) -> Refused:
    """Return 500: waiting does not help; in Kafka's word, and with what its operator can do."""
    kind = error.refusal.kind if error.refusal else "kafka_refused"
    text = f"{kind}: {error} {VOCABULARY[kind].remedy} Then send the same request again"
    return refused(500, text, headers={"X-Batch-Id": batch_id})


def contradicted(by: Contradiction) -> Refused:
    """Return 409: the sequence came a moment ago with something else."""
    return refused(
        409,
        f"batch.sequence: batch {by.batch.batch_id} came at {by.batch.at:%Y-%m-%dT%H:%M:%SZ} with this sequence and "
        f"differs in {', '.join(by.fields)}; send the next sequence, or another sessionId",
        headers={"X-Batch-Id": by.batch.batch_id},
    )


def misfit(by: Misfit) -> Refused:
    """Return 409: the batch is to be resumed and has no place in the newest run of its session."""
    fields, newest = [f"batch.{name}" for name in by.fields], by.newest
    what = "names others" if fields else "lacks no sequence"
    return refused(
        409,
        f"{', '.join(fields or ['batch.sequence'])}: the newest run of this session {what}, and its last batch is "
        f"{newest.batch_id} of {newest.at:%Y-%m-%dT%H:%M:%SZ}; send another sessionId, or no resume to begin a new run",
        headers={"X-Batch-Id": newest.batch_id},
    )


def malformed(details: str) -> Refused:
    """Return 400 for a body that is no form data."""
    text = f"{MALFORMED} ({details})"
    return Refused(web.Response(text=text, status=400), text)


def corrupted(details: str) -> Refused:
    """Return 400 for `batch` or `users` that are missing, not JSON or of the wrong shape."""
    return refused(400, f"Payload is corrupted or missing. Please send JSON string. {details}")


def no_users() -> Refused:
    """Return 400 for an empty list of users."""
    return Refused(web.Response(text=NO_USERS, status=400), NO_USERS)


def from_http(error: web.HTTPException) -> web.Response:
    """Return the framework's own refusal, such as 404 and 405, in the usual form."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return failure(error.status, [_ADVICE.get(error.status, HTTPStatus(error.status).phrase)], headers)


_ADVICE = {
    404: "path: nothing is served here; send POST /audience",
    405: "method: not one of those that Allow names",
    413: "body: too large",
}
