"""A file of settings, `.env`: read whole, or refused by file and line and never by a value."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from cli.errors import CommandError


class EnvFileError(CommandError):
    """A file of settings is missing or has a line that can't be read."""


def read_env_file(path: Path, *, is_chosen: bool) -> dict[str, str]:
    """Return the variables of a file that are not empty; a file that nobody chose may be missing.

    Raises EnvFileError, which names the first line that is wrong.
    """
    if not is_chosen and not path.is_file() and not path.is_fifo():
        return {}
    text = _text(path)
    for number, fault in _faults(text):
        raise EnvFileError(f"{path}:{number}: {fault}")
    return {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value}


def _text(path: Path) -> str:
    """Return what a file holds, without the mark that some editors put before UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        advice = "name a file in AUDIENCE_ENV_FILE that can be read, or set that empty for none"
        raise EnvFileError(f"{path}: {error.strerror}; {advice}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise EnvFileError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None


def _faults(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that can't be read, and what to write there."""
    if "\0" in text:
        yield text.count("\n", 0, text.index("\0")) + 1, "a NUL character; remove it"
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            yield _line(binding), "not NAME=value; look at its quotes, which must be closed"
        elif binding.key is not None and binding.value is None:
            yield _line(binding), "no = behind the name; write NAME=value"


def _line(binding: Binding) -> int:
    """Return the number of a statement's first line; the parser counts the empty ones before it in."""
    before = binding.original.string
    return binding.original.line + before[: len(before) - len(before.lstrip())].count("\n")
