"""Where an error came from, told without what it says, and forgotten."""

import traceback
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def place_of(error: BaseException) -> str:
    """Return the type of an error and where it was raised; never its message, which may quote a user."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join([type(error).__name__, *(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))])


def without_frames(error: E) -> E:
    """Return an error that no longer keeps what was in hand where it was raised, nor do those that it came of.

    A frame that knows its own error is in a cycle with it, and keeps all else that it knows, such as thousands of rows,
    until the collector of cycles comes by. So an error is to lose its frames before it is kept.
    """
    found: BaseException | None = error
    while found is not None and found.__traceback__ is not None:
        found.__traceback__ = None
        found = found.__cause__ or found.__context__
    return error
