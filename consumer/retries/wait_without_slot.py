"""Wait long for a record without holding what others need meanwhile."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Rest = Callable[[float], Awaitable[None]]

_REST: ContextVar[Rest | None] = ContextVar("rest", default=None)


@contextmanager
def resting_by(rest: Rest) -> Iterator[None]:
    """Say within the block how long waits are spent: the record's place is another's meanwhile."""
    token = _REST.set(rest)
    try:
        yield
    finally:
        _REST.reset(token)


async def rest(seconds: float, sleep: Rest) -> None:
    """Wait as the record's runner says, else by `sleep`.

    To be called by the record's own task, once its calls are over.
    """
    await (_REST.get() or sleep)(seconds)
