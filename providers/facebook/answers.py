"""What Meta's answers mean: its error codes in our words, and the rows that it refuses."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from providers.facebook.usage_headers import regain_seconds
from providers.kit.errors import PlatformError, platform_error
from providers.kit.http import Answer
from providers.kit.rows.columns import Column
from providers.kit.rows.rejection_reasons import Rejection

LATE = 300.0
"""Seconds to wait where Meta's pages say no more than to come back later; of a replacement they say some minutes."""

# Meta's codes, with subcodes where those matter (Graph API "Handle errors", Marketing API "Error Codes", custom
# audience reference and guide; 2663 by public reports).
CODES: Mapping[str, str] = {
    "1": "platform_error",
    "2": "platform_error",
    "3": "permission_missing",
    "4": "throttled",
    "9": "throttled",
    "10": "permission_missing",
    "12": "api_version_ended",
    "17": "throttled",
    "100": "request_refused",
    "100/33": "audience_gone",
    "100/1713098": "audience_refused",
    "100/1713230": "audience_refused",
    "102": "token_invalid",
    "104": "token_invalid",
    "105": "request_refused",
    "190": "token_invalid",
    **dict.fromkeys(map(str, range(200, 300)), "permission_missing"),
    "200/1870034": "terms_not_accepted",
    "200/1870047": "audience_refused",
    "200/1870050": "account_not_found",
    "200/1870090": "terms_not_accepted",
    "294": "not_admitted",
    "341": "throttled",
    "368": "restricted",
    "613": "throttled",
    "2635": "api_version_ended",
    "2650": "audience_refused",
    "2650/1870144": "too_much_data",
    "2650/1870145": "busy",
    "2650/1870147": "session_lost",
    "2650/1870148": "platform_error",
    "2650/1870158": "session_lost",
    "2650/1870159": "session_lost",
    "2654": "audience_refused",
    "2655": "terms_not_accepted",
    "2663": "terms_not_accepted",
    "5000": "platform_error",
    "21009": "platform_error",
    **dict.fromkeys(map(str, range(80000, 80015)), "throttled"),
    "1487301": "audience_gone",
    "1487366": "audience_gone",
}
ON_REMOVAL: Mapping[str, str] = {"audience_refused": "removal_refused"}
"""Words that are others where people were to leave. 100/1713230 is an audience of operation status 471, flagged for its
integrity, which takes nobody in and lets nobody out (custom audience reference)."""

OF_AUDIENCES = frozenset({"upload", "remove"})
"""Operations that name an audience by an id of ours."""

WAITS: Mapping[str, float] = {"busy": LATE, "restricted": LATE}
TOO_MUCH = "reduce the amount of data"
"""Words of code 1 by which alone a call that asks for or brings too much is told from a failure of Meta."""

VERSION_WARNING = "X-Ad-Api-Version-Warning"
"""Header of an answer by a newer version than the one that was asked for and has ended (Meta's blog, April 2024)."""


class Received(msgspec.Struct):
    """What Meta says of the rows of a call."""

    session_id: str | None = None
    num_invalid_entries: int = 0
    invalid_entry_samples: Any = None

    @property
    def request_ids(self) -> Sequence[str]:
        """The session that they came in."""
        return [self.session_id] if self.session_id else []


def refusal(answer: Answer, error: object, operation: str) -> PlatformError:
    """Return what an error of Meta means, by code and subcode: HTTP statuses do not tell."""
    facts = error if isinstance(error, dict) else {}
    code, subcode = facts.get("code"), facts.get("error_subcode")
    if not isinstance(code, int):
        return platform_error("platform_error", platform_code=f"HTTP {answer.status}")
    platform_code = f"{code}/{subcode}" if isinstance(subcode, int) and subcode else str(code)
    word = _word(code, platform_code, str(facts.get("message", "")), operation)
    if facts.get("is_transient") is True and word not in ("throttled", "too_much_data"):
        word = "platform_error"
    trace = facts.get("fbtrace_id")
    return platform_error(
        word,
        platform_code=platform_code,
        request_id=trace if isinstance(trace, str) else None,
        wait=regain_seconds(answer.headers) if word == "throttled" else WAITS.get(word),
    )


def _word(code: int, platform_code: str, message: str, operation: str) -> str:
    """Return our word; an unknown code is taken for a failure of the platform, which may pass."""
    word = CODES.get(platform_code) or CODES.get(str(code), "platform_error")
    if code == 1 and TOO_MUCH in message:
        return "too_much_data"
    if word == "audience_gone" and operation not in OF_AUDIENCES:
        return "account_not_found"
    return ON_REMOVAL.get(word, word) if operation == "remove" else word


def refused_rows(
    received: Received, rows: Sequence[msgspec.Raw], columns: Sequence[Column]
) -> tuple[Mapping[int, Rejection], Mapping[Rejection, int]]:
    """Return the rows that Meta calls invalid and shows, and how many more there are."""
    invalid = max(0, min(received.num_invalid_entries, len(rows)))
    placed = placed_samples(received.invalid_entry_samples, rows, invalid, columns) if invalid else {}
    missing = invalid - len(placed)
    return placed, {Rejection(None, "refused_by_platform"): missing} if missing else {}


def placed_samples(
    samples: object, rows: Sequence[msgspec.Raw], most: int, columns: Sequence[Column]
) -> dict[int, Rejection]:
    """Return which rows Meta's samples of invalid entries are, at most so many, and the field at fault.

    Samples are up to 100 offending entries, as members or elements; whether an entry is shown as its whole row or
    as the one value is not documented, so both are looked for, the one value in columns by which somebody is known.
    """
    entries = [entry if isinstance(entry, str) else msgspec.json.encode(entry).decode() for entry in _listed(samples)]
    wanted = {_cells(entry) for entry in entries}
    fields = [column.field if column.is_identifier else None for column in columns]
    found: dict[int, Rejection] = {}
    for position, raw in enumerate(rows):
        row = _cells(bytes(raw).decode())
        faulty = [field for field, cell in zip(fields, row, strict=False) if field and cell and (cell,) in wanted]
        if len(found) < most and (faulty or row in wanted):
            found[position] = Rejection(faulty[0] if faulty else None, "refused_by_platform")
    return found


def _listed(samples: object) -> Iterable[object]:
    return samples if isinstance(samples, dict | list) else ()


def _cells(entry: str) -> tuple[str, ...]:
    """Return an entry's cells as text: those of a JSON array, else the entry itself."""
    try:
        decoded = msgspec.json.decode(entry)
    except msgspec.DecodeError:
        return (entry,)
    return tuple(map(str, decoded)) if isinstance(decoded, list) else (entry,)
