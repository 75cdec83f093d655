"""What answers mean: the values that were asked for, or the error that says what to do next."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TypeVar

import msgspec

from audience_client.http.batches import Accepted, IgnoredName
from audience_client.http.errors import (
    AccessError,
    ContradictionError,
    NotKnownError,
    RefusedError,
    TooLargeError,
    UnexpectedAnswerError,
)
from audience_client.http.exchange import Answer
from audience_client.http.words import is_ours, words_of

T = TypeVar("T")

_ERRORS: Mapping[int, type[RefusedError]] = {
    HTTPStatus.UNAUTHORIZED: AccessError,
    HTTPStatus.FORBIDDEN: AccessError,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: AccessError,
    HTTPStatus.CONFLICT: ContradictionError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: TooLargeError,
}

ACCEPTED = frozenset({HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.GATEWAY_TIMEOUT})
"""With a batch id these are of a batch that is in the log, whatever platforms made of it."""


_NO_SUCH_PATH = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})

CHECK = "check the URL of the server, with the path before /audience where it has one, and what stands before it"


class _Details(msgspec.Struct, rename="camel"):
    batch_id: str | None = None
    ignored: tuple[IgnoredName, ...] = ()


_details_in = msgspec.json.Decoder(_Details).decode


def accepted(answer: Answer) -> Accepted:
    """Return what the server says of a batch that it has. Raises RefusedError, UnexpectedAnswerError."""
    if answer.status not in ACCEPTED:
        raise refusal(answer)
    details = _details(answer)
    batch_id = answer.headers.get("x-batch-id") or details.batch_id
    if batch_id is None:
        raise refusal(answer)
    return Accepted(
        batch_id=batch_id,
        ignored=_count(answer),
        ignored_names=details.ignored,
        location=answer.headers.get("location"),
        knows_resume=not any(one.location == "query" and one.name == "resume" for one in details.ignored),
    )


def _details(answer: Answer) -> _Details:
    """Return what the body says besides the headers; that nothing can be read there changes nothing."""
    try:
        return _details_in(answer.body)
    except msgspec.DecodeError:
        return _Details()


def _count(answer: Answer) -> int:
    text = answer.headers.get("x-ignored-count", "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def reader(kind: type[T]) -> Callable[[Answer], T]:
    """Return what reads answers of this kind; it raises RefusedError, NotKnownError, UnexpectedAnswerError.

    To be made when a module is imported: msgspec (0.22.0) resolves the type, which is not safe beside another thread.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(answer: Answer) -> T:
        if answer.status == HTTPStatus.NOT_FOUND and is_ours(answer):
            raise NotKnownError(answer.status, words_of(answer))
        if answer.status != HTTPStatus.OK:
            raise refusal(answer)
        try:
            return decode(answer.body)
        except msgspec.DecodeError:
            raise _unexpected("the answer is not what an Audience API says") from None

    return read


def refusal(answer: Answer) -> RefusedError | UnexpectedAnswerError:
    """Return the error that an answer is which neither grants what was asked nor lets the request be sent again."""
    if answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return _unexpected(f"the answer, {answer.status}, names no batch")
    if answer.status < HTTPStatus.BAD_REQUEST:
        return _unexpected(f"the answer is a redirection ({answer.status}), which is not followed")
    if answer.status in _NO_SUCH_PATH and not is_ours(answer):
        return _unexpected(f"the answer, {answer.status}, is of something else: there is no Audience API at this URL")
    kind = _ERRORS.get(answer.status, RefusedError)
    return kind(answer.status, words_of(answer), batch_id=answer.headers.get("x-batch-id"))


def _unexpected(what: str) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(f"{what}; {CHECK}")
