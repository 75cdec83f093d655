"""What goes wrong: a sentence that says where and what to do."""

from collections.abc import Sequence


class AudienceError(Exception):
    """The root of all errors of this package; no message repeats a value of a customer."""


class InputError(AudienceError):
    """A file or an option is wrong; nothing was sent. The message repeats no value of a customer."""


class FileError(InputError):
    """A file is not what can be read; `row` counts as a spreadsheet does, from 1 with the header."""

    def __init__(self, file: str, problem: str, *, row: int | None = None, unit: str = "row") -> None:
        location = file if row is None else f"{file}, {unit} {row:,}"
        super().__init__(f"{location}: {problem}")
        self.file = file
        self.row = row


class MissingExtraError(FileError):
    """Reading such a file needs a package that only the extra `files` installs."""

    def __init__(self, file: str, kind: str) -> None:
        super().__init__(file, f"reading {kind} needs more packages; pip install 'audience-client[files]'")


class MappingError(InputError):
    """A column can't be used as it was asked, or no column was found that can."""


class AmbiguousColumnsError(MappingError):
    """Several columns may be meant for a field; a terminal asks which, a program names one by `--map`."""

    def __init__(self, file: str, field: str, candidates: Sequence[str]) -> None:
        names = ", ".join(quoted(name) for name in candidates)
        super().__init__(
            f"{file}: several columns may be meant as {field}: {names}; say which: {option(field, candidates[0])}"
        )
        self.file = file
        self.field = field
        self.candidates = tuple(candidates)


def quoted(name: str) -> str:
    """Return a column's name as messages show it: on one line, and not longer than a line."""
    shown = "".join(letter if letter.isprintable() else "�" for letter in name)
    return f'"{shown[:60]}…"' if len(shown) > 60 else f'"{shown}"'


def option(field: str, column: str) -> str:
    """Return what maps a column to a field on the command line."""
    return f"--map {field}={quoted(column)}"
