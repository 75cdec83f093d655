"""Keeps Python's garbage collector from running while many rows are made."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collecting_later() -> Iterator[None]:
    """Keep the collector of cycles away while thousands of rows are made, none of which is in one.

    It would look at the whole process again and again, as it counts what was made.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
