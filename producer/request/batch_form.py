"""The part `batch`: where an upload stands in its session."""

import math
import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from producer.request.hints import of_content
from producer.request.name_likeness import BATCH_LIKENESSES, meant_member
from producer.request.numbers import Number, number, number_text
from producer.request.surrogates import without_halves
from producer.request.unknown_names import Ignored, NameCounter
from producer.request.users_json import PayloadError, explain
from schemas.bounds import MAX_SESSION_ID, MAX_WHOLE

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")

_EXPECTED = {
    "sessionId": "a finite number",
    "sequence": "a whole number from 0 to 2^53",
    "totalBatches": "a whole number from 0 to 2^53",
    "totalUsers": "a whole number from 0 to 2^53",
    "pullDate": "a date as YYYY-MM-DD",
}

_SHORTER = {"too_long": f"a number of at most {MAX_SESSION_ID} characters"}


def _is_number(value: object) -> bool:
    return isinstance(value, Number) and not isinstance(value, bool)


def _finite(literal: str) -> float | Decimal:
    found = number(literal)
    if math.isinf(found):
        raise msgspec.ValidationError
    return found


_decoder = msgspec.json.Decoder(float_hook=_finite)


def _session_id(value: Any) -> str:
    if not _is_number(value):
        raise ValueError("not a number")
    return number_text(value)


def _whole(value: Any) -> int:
    if not _is_number(value) or value != int(value):
        raise ValueError("not a whole number")
    return int(value)


def _pull_date(value: Any) -> date | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("not a date")
    return date.fromisoformat(value)


# What is sent is told by `WithJsonSchema`: the validators before make text of a number, and whole what JSON has as 5.0.
SessionId = Annotated[
    str, BeforeValidator(_session_id), Field(max_length=MAX_SESSION_ID), WithJsonSchema({"type": "number"})
]
Whole = Annotated[
    int,
    BeforeValidator(_whole),
    Field(ge=0, le=MAX_WHOLE),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_WHOLE}),
]


class BatchForm(BaseModel):
    """`batch` as it was sent: where an upload stands in its session."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session_id: SessionId = Field(
        alias="sessionId", description="Which list the batch is part of; a number of any size, kept digit by digit."
    )
    sequence: Whole = Field(description="Its place in the session, from 0 or 1; not above `totalBatches`.")
    total_batches: Whole = Field(alias="totalBatches", description="Batches in the session.")
    total_users: Whole = Field(alias="totalUsers", description="Users in the session.")
    pull_date: Annotated[date | None, BeforeValidator(_pull_date)] = Field(
        alias="pullDate", default=None, description="Day on which the list was drawn."
    )


def parse_batch(data: bytes) -> tuple[BatchForm, tuple[Ignored, ...]]:
    """Parse the part; return it and the members of it that we know nothing of. Raises PayloadError."""
    try:
        decoded = _decoder.decode(without_halves(data))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(_not_json(data, error)) from None
    if not isinstance(decoded, dict):
        raise PayloadError(f"batch: expected object{of_content('batch', data)}")
    if any(name.lower() == "mode" for name in decoded):
        raise PayloadError("batch.mode: expected in the query, such as ?mode=remove; here it would count for nothing")
    unknown = NameCounter("batch", lambda name: meant_member(name, BATCH_LIKENESSES))
    unknown.add(name for name in decoded if name not in _EXPECTED)
    try:
        return BatchForm.model_validate(decoded), unknown.found()
    except ValidationError as error:
        fields = {str(fault["loc"][0]): fault["type"] for fault in error.errors(include_input=False)}
        faults = [f"batch.{name}: expected {_SHORTER.get(kind, _EXPECTED[name])}" for name, kind in fields.items()]
        alike = [str(one) for one in unknown.found() if one.did_you_mean in fields]
        raise PayloadError("; ".join([*faults, *alike])) from None


def _not_json(data: bytes, error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return "batch: expected numbers that are finite"
    return explain("batch", data, error, {})
