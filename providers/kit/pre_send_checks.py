"""Checks that run right before a call's bytes go, when every wait for the pace and for a slot is over."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

PreSendCheck = Callable[[], Awaitable[None]]
"""Raises where the call is not to be made; it may wait."""

_CHECKS: ContextVar[tuple[PreSendCheck, ...]] = ContextVar("pre_send_checks", default=())


@contextmanager
def pre_send_check(check: PreSendCheck) -> Iterator[None]:
    """Run a check before each call that is made within the block, after those of the blocks around it.

    Tasks that are started within the block run it, too.
    """
    token = _CHECKS.set((*_CHECKS.get(), check))
    try:
        yield
    finally:
        _CHECKS.reset(token)


def pre_send_checks() -> tuple[PreSendCheck, ...]:
    """Return the checks of calls that are made here, for another task that makes them instead."""
    return _CHECKS.get()


async def run_pre_send_checks() -> None:
    """Run the checks of the call whose bytes are about to go. Raises what the first of them raises that fails."""
    for check in _CHECKS.get():
        await check()
