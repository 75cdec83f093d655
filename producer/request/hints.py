"""What a part looks like that is not the JSON it should be: the sentence that helps, by everyday mistakes."""

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from producer.request.name_likeness import USER_LIKENESSES, meant_member

HEAD = 4_096
"""Bytes of a part that are looked at."""

_SERIALISE = (
    "it is how a program prints an object: serialise it as JSON (JSON.stringify, json.dumps, json_encode, to_json)"
)
_SEPARATORS = re.compile(r"[,;|\t]")
_SEVERAL = re.compile(rb"\}[\s,]*\{")
_object = msgspec.json.Decoder(dict[str, Raw])

# By how a part begins; the first that fits counts.
_LOOKS: Sequence[tuple[re.Pattern[bytes], str]] = [
    (re.compile(rb"\[object \w"), _SERIALISE),  # JavaScript
    (re.compile(rb"[\[{][\s\[{]*('\w|:?\w+\s*=|\"\w+\"\s*=>|\w+\s*:)"), _SERIALISE),  # Python, Ruby, Java, JavaScript
    (re.compile(rb"\[?\s*map\[|#<|Array\b|System\.|None\b|nil\b|undefined\b"), _SERIALISE),  # Go, Ruby, PHP, C#
    (re.compile(rb"'\s*[\[{]"), "it stands in single quotes, which some shells pass on: leave them out"),
    (re.compile(rb'"\s*[\[{]'), "it is JSON inside a JSON string: encode it once, not twice"),
    (re.compile(rb'\[\s*"\s*\{'), "its members are JSON inside strings: encode the whole once, not each by itself"),
    (re.compile(rb"(?i)%5B|%7B|%22"), "it is percent-encoded: send it as it is"),
    (re.compile(rb"W3s|W1|Wwo|WyA|eyJ|ewo"), "it looks like base64: send the JSON itself"),
    (re.compile(rb"\x1f\x8b|PK\x03\x04|BZh|\x28\xb5\x2f\xfd"), "it is compressed or a spreadsheet: send plain JSON"),
    (re.compile(rb"@?[\w./\\:-]+\.(json|ndjson|jsonl|csv|txt)\s*$"), "it is a file's name: send what the file holds"),
    (re.compile(rb"<"), "it looks like XML or HTML: send JSON"),
]


def of_content(part: str, data: bytes) -> str:
    """Return what to do about a part of another form, as the rest of a sentence; nothing where it looks like none."""
    head = data[:HEAD].strip()
    advice = next((advice for looks, advice in _LOOKS if looks.match(head)), None)
    if advice is None and part == "users":
        advice = _of_object(data) if head.startswith(b"{") else _of_text(head)
    elif advice is None and re.match(rb"\[\s*\{", head):
        advice = "send the object itself, without an array around it"
    return f"; {advice}" if advice else ""


def _of_object(data: bytes) -> str | None:
    """Return what to do about users that begin like an object."""
    try:
        members = _object.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        is_several = _SEVERAL.search(data[:HEAD])
        return (
            "it is one object after another, as in NDJSON: send one array that holds them all" if is_several else None
        )
    begins = [bytes(value)[:1] for value in members.values()]
    if b"[" in begins:
        return "send the array itself, without an object around it"
    if begins and set(begins) == {b"{"} and "purchase" not in members:
        return "send its values as an array, without their keys"
    return "put a single user into an array, too" if members else None


def _of_text(head: bytes) -> str | None:
    """Return what to do about users that begin like no JSON."""
    if not head or head.startswith(b"["):
        return None
    line = head.splitlines()[0].decode(errors="replace")
    cells = [cell.strip(" \"'") for cell in _SEPARATORS.split(line)]
    is_csv = any("@" in cell or meant_member(cell, USER_LIKENESSES) for cell in cells)
    return "it looks like CSV: send a JSON array with an object for each line" if is_csv else None
