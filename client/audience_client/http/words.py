"""What an answer says in words: the server's own, or that somebody else answered."""

from http import HTTPStatus

import msgspec

from audience_client.http.exchange import Answer

LONGEST = 2_000
"""Characters of the server's words that are handed on."""


class _Failure(msgspec.Struct):
    errors: list[str]


_failure_in = msgspec.json.Decoder(_Failure).decode


def is_ours(answer: Answer) -> bool:
    """Tell whether a refusal has the form that an Audience API gives it."""
    return _errors(answer) is not None


def words_of(answer: Answer) -> str:
    """Return why a request was not taken, as the server says it."""
    errors = _errors(answer)
    if errors:
        return _printable("; ".join(errors))
    text = answer.body.decode("utf-8", "replace").strip() if _is_text(answer) else ""
    return _printable(text) if text else f"{_phrase(answer.status)}, without a reason that can be shown"


def _errors(answer: Answer) -> list[str] | None:
    try:
        return _failure_in(answer.body).errors
    except msgspec.DecodeError:
        return None


def _is_text(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").startswith("text/plain")


def _printable(text: str) -> str:
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return f"{shown[:LONGEST]}…" if len(shown) > LONGEST else shown


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
