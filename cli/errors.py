"""Mistakes in how a command is used."""


class UsageError(Exception):
    """Options that do not go together."""
