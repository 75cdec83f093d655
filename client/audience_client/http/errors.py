"""What a server's answer, or the want of one, means to the caller; no error holds a request."""

from audience_client.errors import AudienceError


class RefusedError(AudienceError):
    """The server refused the request, and the same one would be refused again; `words` are the server's own."""

    def __init__(self, status: int, words: str, *, batch_id: str | None = None) -> None:
        super().__init__(f"the server refused the request with {status}: {words}")
        self.status = status
        self.words = words
        self.batch_id = batch_id


class AccessError(RefusedError):
    """401, 403 and 407: there is no token, it is a wrong one, or this machine is not let in."""


class NotKnownError(RefusedError):
    """404: the server knows nothing of that id."""


class ContradictionError(RefusedError):
    """409: the sequence came before with something else; `batch_id` is the batch that stands."""


class TooLargeError(RefusedError):
    """413: the request is larger than the server, or a proxy before it, takes."""


class UnexpectedAnswerError(AudienceError):
    """What answers at the URL is no Audience API, or a proxy in between answers for it."""


class UnreachableError(AudienceError):
    """No answer that counts came in the time given; whether the last request was taken is not known.

    `why` is that of the last notice of waiting, `waited` how many seconds the request was tried.
    """

    def __init__(self, why: str, words: str, waited: float) -> None:
        super().__init__(f"gave up after {waited:.0f} s: {words}" if waited >= 1 else words)
        self.why = why
        self.words = words
        self.waited = waited
