"""Logs on standard error: one line per decision, text on a terminal, JSON otherwise."""

import logging
import sys

import structlog


def configure_logs(least: int = logging.NOTSET) -> None:
    """Send our logs from a level on, and warnings of libraries, to standard error."""
    is_terminal = sys.stderr.isatty()
    render = structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # The event loop names clean-up trouble in these; a message may quote what was sent, so only errors of ours speak.
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
