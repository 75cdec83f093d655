"""What a platform is to the runner: settings, limits, one pure row function, three calls."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from providers.http import Transport
from providers.pace import Rate
from providers.settings import AccountSettings
from schemas.records import AudienceType, AudienceUser

PREFIX = "blotout_"

SettingsT = TypeVar("SettingsT", bound=AccountSettings)
RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What fits in one upload call, by the platform's documentation."""

    rows: int
    body: int
    """Bytes of the rows as JSON, the commas between them included; leave room for what surrounds them."""
    row: int | None = None
    """Bytes of a single row."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a user makes no row: the field of the upload that is at fault, a word of the vocabulary."""

    field: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the platform did with the rows of one call.

    `rejected` maps positions in the call to reasons; `unplaced` counts rows that the platform refused without
    saying which ones. Every other row was accepted.
    """

    rejected: Mapping[int, Rejection] = field(default_factory=dict)
    unplaced: Mapping[Rejection, int] = field(default_factory=dict)
    matched: int | None = None
    request_ids: Sequence[str] = ()


class Provider(ABC, Generic[SettingsT, RowT]):
    """One platform account. Subclasses hold no state but the settings and the transport.

    The runner owns time, retries, slots, pace, splitting and completions. It calls `row` for each user,
    `find_audience` and, if that finds none, `create_audience` once per audience, and `send` for each group of
    rows that keeps the limits; calls of one account run at the same time.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[AccountSettings]]
    limits: ClassVar[Limits]
    rates: ClassVar[Mapping[str, Sequence[Rate]]] = {}
    """The platform's documented limits for each operation that requests name."""

    def __init__(self, settings: SettingsT, transport: Transport) -> None:
        self.settings = settings
        self.transport = transport

    def platform_name(self, name: str, *, disable_prefix: bool) -> str:
        """Return what the platform calls the audience."""
        return name if disable_prefix else PREFIX + name.replace(" ", "_")

    @abstractmethod
    def row(self, user: AudienceUser) -> RowT | Rejection:
        """Turn a user into a row of the platform, anything that JSON can hold, or say why it makes none.

        Pure: the same user gives the same row, whatever came before.
        """

    @abstractmethod
    async def find_audience(self, platform_name: str) -> str | None:
        """Return the id of the audience that bears exactly this name, None if there is none.

        Of several the same one each time. Raises PlatformError.
        """

    @abstractmethod
    async def create_audience(self, platform_name: str, audience_type: AudienceType) -> str:
        """Create an audience and return its id. Raises PlatformError."""

    @abstractmethod
    async def send(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Sent:
        """Add rows, each already JSON, to the audience and say what the platform did with them.

        Returns when the platform has accepted them for good. Repeating a call leaves the same members.
        Raises PlatformError.
        """


AnyProvider = Provider[Any, Any]
