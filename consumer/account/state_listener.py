"""Go by what other processes of an account say of it: hold calls, and probe where it is parked."""

from dataclasses import dataclass

from consumer.retries.circuit_breaker import CircuitBreaker
from consumer.retries.throttles import Throttles
from providers.kit.errors import PlatformError, platform_error
from schemas.error_words import KAFKA_WORDS, VOCABULARY
from schemas.records import AccountState

_NOT_OF_THE_PLATFORM = frozenset({"registry_unreachable", *KAFKA_WORDS})
"""What a look at the platform says nothing about."""


@dataclass(frozen=True, slots=True)
class StateListener:
    """Goes by what other processes of the account say of it."""

    breaker: CircuitBreaker
    throttles: Throttles
    is_live: bool

    def begin(self, state: AccountState | None) -> None:
        """Begin as the account stands, by what its last process said; a warning is left to be given again."""
        if state is None:
            return
        self.throttles.apply(state)
        block = _block(state)
        is_warning = state.state == "running" and state.error_code is not None
        if not is_warning and (state.state != "blocked" or block is not None):
            self.breaker.adopt(block)

    def apply(self, state: AccountState) -> None:
        """Hold calls for as long as a process was told; probe before any other call where one is parked."""
        self.throttles.apply(state)
        block = None if self.is_live or self.breaker.is_parked else _block(state)
        if block is not None:
            self.breaker.adopt(block)


def _block(state: AccountState) -> PlatformError | None:
    """Return what parks an account, None for nothing that a probe could end."""
    code = state.error_code or ""
    if state.state != "blocked" or code not in VOCABULARY or code in _NOT_OF_THE_PLATFORM:
        return None
    return platform_error(code, platform_code=state.platform_code, request_id=state.request_id)
