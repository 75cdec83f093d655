"""How a file is to be read where it doesn't say so itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What a caller says of a file; None lets the file tell."""

    encoding: str | None = None
    separator: str | None = None
    sheet: str | None = None
