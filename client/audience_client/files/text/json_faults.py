"""Why a text is no JSON, and where: asked only once it was refused, of the standard library, which tells more."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from json import JSONDecodeError
from typing import Any, Final

from audience_client.errors import quoted

_HALF: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_NO_NUMBER: Final = re.compile(r"(?:^|[:,\[])\s*(-?Infinity|NaN)\s*(?:$|[,}\]])")
_BLANKS: Final = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, in words that repeat no value, and behind how many characters that is known."""

    at: int
    what: str


class _NoNumber:
    """What stands for NaN and Infinity until it is known of which member they are."""


class _NoNumberError(ValueError):
    def __init__(self, member: str | None) -> None:
        super().__init__()
        self.member = member


def fault_of(text: str) -> Fault | None:
    """Return what is wrong with a text that is to be one value, None where the standard library takes it."""
    begins = _after_blanks(text, 0)
    try:
        value, end = _decoder.raw_decode(text, begins)
    except (JSONDecodeError, _NoNumberError, RecursionError) as error:
        return _fault(text, begins, error)
    if isinstance(value, _NoNumber):
        return _fault(text, begins, _NoNumberError(None))
    behind = _after_blanks(text, end)
    if behind < len(text):
        return Fault(behind, "more text stands behind its end")
    half = _HALF.search(text)
    return Fault(half.start(), "an escape is half of a letter, cut between its two parts") if half else None


@dataclass(frozen=True, slots=True)
class ArrayFault:
    """Which entry of an array is wrong; None where that is what stands behind the last one."""

    entry: int | None
    fault: Fault


def fault_of_array(text: str, is_entry: Callable[[str], bool]) -> ArrayFault | None:
    """Return the first thing that is wrong with a text that is to be an array, None where nothing is found.

    `is_entry` tells of the text of an entry whether it can be read.
    """
    number, at = 0, _after_blanks(text, _after_blanks(text, 0) + 1)
    if text[at : at + 1] == "]":
        return _behind(text, at + 1)
    while True:
        number += 1
        try:
            _, end = _decoder.raw_decode(text, at)
        except (JSONDecodeError, _NoNumberError, RecursionError) as error:
            return ArrayFault(number, _fault(text, at, error))
        if not is_entry(text[at:end]):
            found = fault_of(text[at:end])
            return ArrayFault(number, Fault(at + found.at, found.what) if found else Fault(at, "it can't be read"))
        at = _after_blanks(text, end)
        sign = text[at : at + 1]
        if sign == "]":
            return _behind(text, at + 1)
        if sign != ",":
            what = "a comma or ] is missing behind it" if sign else "the file ends behind it, before the array does"
            return ArrayFault(number, Fault(at, what))
        at = _after_blanks(text, at + 1)
        if text[at : at + 1] == "]":
            return ArrayFault(number, Fault(at, "a comma stands behind it, and it is the last one"))


def _behind(text: str, end: int) -> ArrayFault | None:
    at = _after_blanks(text, end)
    return ArrayFault(None, Fault(at, "more text stands behind its end")) if at < len(text) else None


def _fault(text: str, begins: int, error: Exception) -> Fault:
    if isinstance(error, _NoNumberError):
        member = f" in {quoted(error.member)}" if error.member is not None else ""
        found = _NO_NUMBER.search(text, begins)
        at = found.start(1) if found else begins
        return Fault(at, f"NaN or Infinity stands{member}, which JSON has not: write null instead")
    if not isinstance(error, JSONDecodeError):
        return Fault(begins, "objects stand within each other too deeply")
    if error.msg.startswith("Invalid control character"):
        sign = ord(text[error.pos])
        what = "a zero byte stands in a text" if not sign else "a text holds a line end or a tab that is not escaped"
        return Fault(error.pos, what)
    if error.msg.startswith("Unterminated string") or not text[error.pos :].strip():
        return Fault(len(text.rstrip()), "the text ends within it")
    if text[error.pos] == "\0":
        return Fault(error.pos, "a zero byte stands there")
    return Fault(error.pos, _WHAT.get(error.msg, "it is no JSON from there on"))


_WHAT: Final = {
    "Expecting property name enclosed in double quotes": "a name in double quotes is missing, or a comma is too much",
    "Illegal trailing comma before end of object": "a comma stands behind the last member",
    "Expecting ',' delimiter": "a comma is missing, or quotes within a text are not escaped",
    "Expecting ':' delimiter": "a colon is missing behind a name",
    "Expecting value": "a value is missing, or is not written as JSON",
    "Invalid \\escape": "a backslash in a text is not doubled",
    "Invalid \\uXXXX escape": "an escape has not four digits",
}


def _after_blanks(text: str, at: int) -> int:
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, value in pairs:
        if isinstance(value, _NoNumber):
            raise _NoNumberError(name)
        if isinstance(value, list) and any(isinstance(one, _NoNumber) for one in value):
            raise _NoNumberError(name)
    return {}


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_members, parse_constant=lambda _: _NoNumber(), parse_int=len, parse_float=len
)
