"""A request and what comes of it, as values: whoever makes or reads them does no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from audience_client.http.batches import Content


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of a server; `parts` are those of a form."""

    method: Literal["GET", "POST"] = "GET"
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, bytes | Content] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server answered; the names of headers are in small letters."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """Why there is none. It is final where another try would fare no better, such as with a certificate.

    `is_cut` says that a connection stood and was lost, perhaps with a refusal that came before all was sent.
    """

    words: str
    is_final: bool = False
    is_cut: bool = False


Reply = Answer | NoAnswer
