"""What the log says of a bug: where it is, and nothing of what was sent."""

import traceback

import structlog

log = structlog.get_logger()


def log_bug(error: object) -> None:
    """Log an error that nobody expected by its type and its last frames; its text may quote a user."""
    trace = error.__traceback__ if isinstance(error, BaseException) else None
    frames = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(trace)]
    log.error("Request failed by a bug.", error=type(error).__name__, frames=frames[-4:])
