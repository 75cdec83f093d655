"""The vocabulary in which the HTTP API is described: operations, their parameters and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

JSON = "application/json"
TEXT = "text/plain"
CSV = "text/csv"
EVENTS = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A value in a path or a query; `type` is one that msgspec knows. Lists are separated by commas."""

    name: str
    place: Literal["path", "query"]
    type: Any
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header of an answer."""

    type: Any
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer of one status: the type of its body by media type, the headers it always has, and those it may have."""

    description: str
    content: Mapping[str, Any]
    headers: tuple[str, ...] = ()
    optional_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one method of a path does. `body` is the schema of a form, in which types stand as `Ref`."""

    method: Literal["get", "post"]
    path: str
    id: str
    tag: str
    summary: str
    description: str
    answers: Mapping[int, Answer]
    parameters: tuple[Parameter, ...] = ()
    has_form: bool = False
    has_head: bool = False
    """Whether the same can be asked for without its body."""
    is_open: bool = field(default=False)
    """Whether no token is asked for, also where there are some."""
