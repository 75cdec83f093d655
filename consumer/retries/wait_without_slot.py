"""Wait long for a record without the slot that it was let in by: others have it meanwhile."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Rest = Callable[[float], Awaitable[None]]

_REST: ContextVar[Rest | None] = ContextVar("rest", default=None)


@contextmanager
def resting_by(rest: Rest) -> Iterator[None]:
    """Have `rest` wait by this within the block: it gives the record's slot to others meanwhile."""
    token = _REST.set(rest)
    try:
        yield
    finally:
        _REST.reset(token)


async def rest(seconds: float, sleep: Rest) -> None:
    """Wait without the record's slot where its runner has said how, else by `sleep`.

    To be called by the record's own task, once its calls are over.
    """
    await (_REST.get() or sleep)(seconds)
