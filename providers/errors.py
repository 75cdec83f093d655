"""What a platform's refusal means for us: our vocabulary, and errors named by what to do next."""

from dataclasses import dataclass
from typing import Literal

Action = Literal["retry", "throttle", "reject", "stop"]
Scope = Literal["row", "record", "audience", "account"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """A row of the vocabulary: what we do, how far it reaches, what it means and what a person can do."""

    action: Action
    scope: Scope
    meaning: str
    remedy: str


VOCABULARY: dict[str, Meaning] = {
    "unreachable": Meaning("retry", "account", "The platform did not answer.", "Wait; check the base URL."),
    "platform_error": Meaning("retry", "account", "The platform failed on its side.", "Wait."),
    "unexpected_answer": Meaning("retry", "account", "The answer is not of the documented form.", "Wait."),
    "busy": Meaning("retry", "audience", "The audience is being processed.", "Wait."),
    "throttled": Meaning("throttle", "account", "Too many calls.", "Wait, or set a slower pace."),
    "token_invalid": Meaning("stop", "account", "The token is missing, wrong or expired.", "Set a new token."),
    "permission_missing": Meaning("stop", "account", "The token may not do this.", "Grant the permission."),
    "terms_not_accepted": Meaning("stop", "account", "Terms wait for acceptance.", "Accept them on the platform."),
    "account_not_found": Meaning("stop", "account", "The account does not exist.", "Correct the account id."),
    "account_blocked": Meaning("stop", "account", "The platform has blocked us.", "Ask the platform's support."),
    "audience_gone": Meaning("retry", "audience", "The audience was deleted.", "Nothing: it is made again."),
    "audience_refused": Meaning("reject", "audience", "The audience can't be made or used.", "See the platform."),
    "audience_limit": Meaning("reject", "audience", "The account is full of audiences.", "Delete unused ones."),
    "request_refused": Meaning("reject", "record", "The platform calls the request wrong.", "Report it to us."),
    "partly_taken": Meaning("reject", "record", "Some rows were taken; which is not said.", "See the platform."),
    "bug": Meaning("reject", "record", "Our code failed; the log has its frames.", "Report it to us."),
    "undecodable": Meaning("reject", "record", "The record is not Avro of a known schema.", "Correct the publisher."),
    "invalid_batch": Meaning("reject", "record", "The batch breaks a rule of the schema.", "Correct the publisher."),
}


class PlatformError(Exception):
    """The platform did not do what it was asked.

    `code` is a word of the vocabulary; `platform_code` and `request_id` are the platform's own. The message
    never holds the platform's free text, which may quote a user.
    """

    def __init__(
        self,
        code: str,
        *,
        platform_code: str | None = None,
        request_id: str | None = None,
        wait: float | None = None,
    ) -> None:
        super().__init__(code if platform_code is None else f"{code} ({platform_code})")
        self.code = code
        self.platform_code = platform_code
        self.request_id = request_id
        self.wait = wait


class RetryError(PlatformError):
    """The same request may pass later: try again, not before `wait` seconds where the platform says so."""


class AudienceGoneError(RetryError):
    """The audience id is stale: forget it, find or create the audience again, then try again."""


class ThrottleError(PlatformError):
    """The account calls too often: nobody may call before `wait` seconds have passed. Not an attempt."""


class RejectError(PlatformError):
    """The same request will never pass: the record fails, others go on."""


class StopError(PlatformError):
    """No request of this account will pass until a person has acted."""


_CLASSES: dict[Action, type[PlatformError]] = {
    "retry": RetryError,
    "throttle": ThrottleError,
    "reject": RejectError,
    "stop": StopError,
}


def platform_error(
    code: str,
    *,
    platform_code: str | None = None,
    request_id: str | None = None,
    wait: float | None = None,
) -> PlatformError:
    """Return the error for a word of the vocabulary, of the class that its row names."""
    kind = AudienceGoneError if code == "audience_gone" else _CLASSES[VOCABULARY[code].action]
    return kind(code, platform_code=platform_code, request_id=request_id, wait=wait)
