"""What is asked once more right before a call's bytes go: every wait for pace and slot is over by then."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Look = Callable[[], Awaitable[None]]

_LOOKS: ContextVar[tuple[Look, ...]] = ContextVar("last_looks", default=())


@contextmanager
def looked_last(look: Look) -> Iterator[None]:
    """Have each call that is made within the block looked at, after what was to be asked anyway.

    A look may wait, and raises where the call is not to be made. Tasks that are started within the block take it along.
    """
    token = _LOOKS.set((*_LOOKS.get(), look))
    try:
        yield
    finally:
        _LOOKS.reset(token)


def looks() -> tuple[Look, ...]:
    """Return what is asked before calls that are made here, for whoever makes them elsewhere."""
    return _LOOKS.get()


async def last_look() -> None:
    """Raise what speaks against the call whose bytes are about to go."""
    for look in _LOOKS.get():
        await look()
