"""What is sent: requests that Schemathesis makes up of a description, narrowed to values that get somewhere."""

import copy
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import schemathesis
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.errors import InvalidSchema
from schemathesis.core.result import Err, Result
from schemathesis.schemas import BaseSchema

EXAMPLES = 40
"""Requests that one sweep makes up, at most: an operation without parameters has only one."""

WEIGHT = 4
"""Sweeps of uploads for each of the others: they have by far the most to get wrong."""

MOST_USERS = 3
SCALAR = {"type": ["string", "number", "boolean", "null"]}
"""What members may hold that nobody knows: to make up any JSON for them takes most of the time, for no other answer."""

LONGEST_WAIT = 0.2
"""Seconds, in place of up to 300 that requests might ask for."""

STREAM = "text/event-stream"

SEQUENCES, SESSIONS = 9, 30

Json = Mapping[str, Any]
Operation: TypeAlias = APIOperation[Any, Any, Any, Any]
MadeUp: TypeAlias = Case[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Some requests for one operation, as its seed makes them up."""

    operation: Operation
    mode: GenerationMode
    seed: int


def load(document: Json, channels: Sequence[str]) -> BaseSchema:
    """Return what Schemathesis makes requests of."""
    return schemathesis.openapi.from_dict(narrowed(document, channels))


def narrowed(document: Json, channels: Sequence[str]) -> dict[str, Any]:
    """Return a description that allows less: accounts that there are, and sessions that come again.

    What it does not say is which sequences fit which totals: so the smallest total is above the largest sequence. The
    users are made up as what their text holds.
    """
    narrow = copy.deepcopy(dict(document))
    upload = narrow["paths"]["/audience"]["post"]
    for parameter in upload["parameters"]:
        if parameter["name"] == "channels":
            parameter["schema"]["items"] = {"enum": list(channels)}
    form = upload["requestBody"]["content"]["multipart/form-data"]["schema"]
    form["properties"]["users"] = {**form["properties"]["users"]["contentSchema"], "maxItems": MOST_USERS}
    form["additionalProperties"] = SCALAR
    for name in ("BatchForm", "UserForm", "Purchase"):
        narrow["components"]["schemas"][name]["additionalProperties"] = SCALAR
    members = narrow["components"]["schemas"]["BatchForm"]["properties"]
    members["sequence"]["maximum"] = SEQUENCES
    members["totalBatches"]["minimum"] = SEQUENCES
    members["sessionId"] = {"type": "integer", "minimum": 0, "maximum": SESSIONS}
    return narrow


def sweeps(schema: BaseSchema, seed: int) -> Iterator[Sweep]:
    """Yield sweeps without an end: of each operation those that are allowed, and those that are not."""
    found = sorted(map(_operation, schema.get_all_operations()), key=lambda one: one.label)
    operations = [one for one in found if not _is_endless(one)]
    weighted = [one for one in operations for _ in range(WEIGHT if one.method == "post" else 1)]
    turns = itertools.cycle((one, mode) for one in weighted for mode in modes(one))
    for number, (operation, mode) in enumerate(turns):
        yield Sweep(operation=operation, mode=mode, seed=seed * 1_000_003 + number)


def _operation(found: Result[Operation, InvalidSchema]) -> Operation:
    """Return an operation. Raises InvalidSchema."""
    if isinstance(found, Err):
        raise found.err()
    return found.ok()


def _is_endless(operation: Operation) -> bool:
    """Tell whether an answer is a stream of events, which goes on for as long as it is read."""
    return any(STREAM in answer.get("content", {}) for answer in operation.definition.raw["responses"].values())


def modes(operation: Operation) -> tuple[GenerationMode, ...]:
    """Return whether requests can be made up that an operation does not allow: not where it takes nothing."""
    takes_something = bool(operation.query or operation.path_parameters or operation.body)
    return (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes_something else (GenerationMode.POSITIVE,)


def bounded(case: MadeUp, batch_id: str | None) -> None:
    """Let a request wait for a moment only, and ask for a batch that there is where it allows any."""
    query = case.query
    if isinstance(query, dict) and "wait" in query and _seconds(query["wait"]) > LONGEST_WAIT:
        query["wait"] = LONGEST_WAIT
    if batch_id is not None and isinstance(case.path_parameters, dict) and "batchId" in case.path_parameters:
        case.path_parameters["batchId"] = batch_id


def _seconds(value: object) -> float:
    """Return for how long a value lets wait."""
    try:
        return float(value if isinstance(value, int | float | str) else json.dumps(value))
    except ValueError:
        return 0.0
