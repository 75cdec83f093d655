"""Where an error was raised, without its message; and errors without the frames that they would keep alive."""

import traceback
from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def place_of(error: BaseException) -> str:
    """Return the type of an error and where it was raised; never its message, which may quote a user."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join([type(error).__name__, *(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))])


def without_frames(error: E) -> E:
    """Return an error after taking its traceback away, and those of the errors that it came from.

    A traceback keeps frames alive, and a frame its local variables, such as thousands of rows. Where one of them is the
    error itself, that is a cycle, which is not freed before the garbage collector runs. So an error must lose its
    frames before it is kept.
    """
    found: BaseException | None = error
    while found is not None and found.__traceback__ is not None:
        found.__traceback__ = None
        found = found.__cause__ or found.__context__
    return error
