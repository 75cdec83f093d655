"""What a platform's refusal means for us: errors named by what to do next, in the words of our vocabulary."""

from collections.abc import Mapping

from schemas.error_words import VOCABULARY, Action, Scope


class PlatformError(Exception):
    """The platform did not do what it was asked.

    `code` is a word of the vocabulary; `platform_code` and `request_id` are the platform's own. `wait` is in
    seconds and, like `operation`, None where the platform does not say. The message never holds the platform's
    free text, which may quote a user.
    """

    def __init__(
        self,
        code: str,
        *,
        platform_code: str | None = None,
        request_id: str | None = None,
        wait: float | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(code if platform_code is None else f"{code} ({platform_code})")
        self.code = code
        self.platform_code = platform_code
        self.request_id = request_id
        self.wait = wait
        self.operation = operation

    @property
    def scope(self) -> Scope:
        """How far the error reaches."""
        return VOCABULARY[self.code].scope

    @property
    def is_ambiguous(self) -> bool:
        """Whether the platform may have done what it was asked all the same."""
        return VOCABULARY[self.code].is_ambiguous


class RetryError(PlatformError):
    """The same request may pass later: try again, not before `wait` seconds where the platform says so."""


class AudienceGoneError(RetryError):
    """The audience id is stale: forget it, find or create the audience again, then try again."""


class ThrottleError(PlatformError):
    """Too many calls: none of this `operation`, or of the account, before `wait` seconds. Not an attempt."""


class RejectError(PlatformError):
    """The same request will never pass: the record fails, others go on."""


class TooMuchError(RejectError):
    """The call is too large: its halves may pass."""


class StopError(PlatformError):
    """No request of this account will pass until a person has acted."""


_CLASSES: Mapping[Action, type[PlatformError]] = {
    "retry": RetryError,
    "throttle": ThrottleError,
    "reject": RejectError,
    "stop": StopError,
}
_SPECIAL: Mapping[str, type[PlatformError]] = {"audience_gone": AudienceGoneError, "too_much_data": TooMuchError}


def platform_error(
    code: str,
    *,
    platform_code: str | None = None,
    request_id: str | None = None,
    wait: float | None = None,
    operation: str | None = None,
) -> PlatformError:
    """Return the error for a word of the vocabulary, of the class that its row names."""
    kind = _SPECIAL.get(code) or _CLASSES[VOCABULARY[code].action]
    return kind(code, platform_code=platform_code, request_id=request_id, wait=wait, operation=operation)
