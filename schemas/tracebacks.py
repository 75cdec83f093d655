"""Where an error came from, told without what it says."""

import traceback


def place_of(error: BaseException) -> str:
    """Return the type of an error and where it was raised; never its message, which may quote a user."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return " < ".join([type(error).__name__, *(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))])
