"""The server's bounds for what a user may hold."""

MAX_TEXT = 1024
"""Characters of a field."""
