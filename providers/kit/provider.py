"""What a platform is to the runner: settings, limits, rows as a declaration, three calls."""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, cast

import msgspec

from providers.kit.errors import RejectError
from providers.kit.http import Answer, Transport
from providers.kit.rate_limiter import Pause, Rate
from providers.kit.rows.columns import DeclarationError, RowTemplate
from providers.kit.rows.declaration_checks import check_settings, check_without_attributes
from providers.kit.rows.interpreter import RowMaker
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.settings import AccountSettings
from schemas.records import AudienceType, AudienceUser

__all__ = [
    "PREFIX",
    "REAL",
    "AnyProvider",
    "Limits",
    "NamedRowsError",
    "Provider",
    "Rejection",
    "Sent",
    "Surroundings",
]

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


class NamedRowsError(RejectError):
    """The platform refused a call for rows that it names, and took none of it: without them it may pass.

    `rejected` maps positions in the call to reasons.
    """

    def __init__(
        self,
        code: str,
        *,
        rejected: Mapping[int, Rejection],
        platform_code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(code, platform_code=platform_code, request_id=request_id)
        self.rejected = rejected


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Time and chance as a provider meets them, for others to be put in their place."""

    now: Callable[[], datetime] = _now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    randbits: Callable[[int], int] = secrets.randbits


REAL = Surroundings()


class Provider(ABC, Generic[SettingsT, RowT]):
    """One platform account. Subclasses hold no state but what they are made with.

    The runner owns time, retries, slots, pace, splitting and completions. It makes rows by `template`, or where there
    is none, calls `row` for each user; it calls `find_audience` and, if that finds none, `create_audience` once per
    audience, and `send` for each group of rows that keeps the limits; calls of one account run at the same time.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[AccountSettings]]
    limits: Limits
    rates: ClassVar[Mapping[str, Sequence[Rate]]]
    """Each operation that requests name, with the platform's documented limits, () where there are none."""
    codes: ClassVar[Mapping[str, str]] = {}
    """The platform's documented error codes in words of our vocabulary."""
    template: ClassVar[RowTemplate | None] = None
    """How rows are made; without it `row` and `identifiers` are written by hand."""

    @classmethod
    def check_declaration(cls) -> None:
        """Raise DeclarationError where the template can't hold beside the settings and what is written by hand."""
        if cls.template is None:
            return
        check_settings(cls.template, cls.settings_type)
        if not cls.is_declared() and cls.bare_row is Provider.bare_row:
            check_without_attributes(cls.template)

    def __init__(self, settings: SettingsT, transport: Transport, around: Surroundings = REAL) -> None:
        self.settings = settings
        self.transport = transport
        self.around = around

    @property
    @abstractmethod
    def account_id(self) -> str:
        """The platform's own id of the account, no secret: audiences of another account are others."""

    def platform_name(self, name: str, *, disable_prefix: bool) -> str:
        """Return what the platform calls the audience."""
        return name if disable_prefix else PREFIX + name.replace(" ", "_")

    @classmethod
    def makes_rows(cls) -> bool:
        """Tell whether rows are declared, or made by hand."""
        is_by_hand = cls.row is not Provider.row and cls.identifiers is not Provider.identifiers
        return cls.template is not None or is_by_hand

    @classmethod
    def is_declared(cls) -> bool:
        """Tell whether the template says all of a row: one that is written by hand may be any other."""
        return cls.template is not None and cls.row is Provider.row

    @cached_property
    def maker(self) -> RowMaker:
        """The template, compiled for this account."""
        return RowMaker(self._template, self.settings)

    @cached_property
    def bare_maker(self) -> RowMaker:
        """The same of bare rows."""
        return RowMaker(self._template, self.settings, with_attributes=False)

    @property
    def _template(self) -> RowTemplate:
        if self.template is None:
            raise DeclarationError(f"{type(self).__name__}: declare a template, or write row and identifiers")
        return self.template

    def row(self, user: AudienceUser) -> RowT | Rejection:
        """Turn a user into a row of the platform, anything that JSON can hold, or say why it makes none.

        Pure: the same user gives the same row, whatever came before. The user's values are repaired already
        (`schemas.repairs`), so that only the platform's own rules are left.
        """
        return cast(RowT | Rejection, self.maker.make(user)[0])

    def bare_row(self, user: AudienceUser) -> RowT | Rejection:
        """Turn a user into a row as `row` does, without what membership does not need.

        Attributes are last-write-wins: what is sent again later must not bring back old ones. Where `row` is written by
        hand, it is what `row` returns, which is refused of templates with attributes.
        """
        return cast(RowT | Rejection, self.bare_maker.make(user)[0]) if self.is_declared() else self.row(user)

    def left_out(self, user: AudienceUser, row: RowT) -> Iterable[Rejection]:
        """Return the values of a user that the platform would take but that its row lacks, each with the reason.

        What the platform takes from nobody, or what is blank, is not told.
        """
        del row
        return () if self.template is None else self.maker.make(user)[1]

    def identifiers(self, row: RowT) -> Iterable[str]:
        """Return the platform's names of the identifiers that a row has."""
        return self.maker.identifiers(row)

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
        Raises PlatformError; NamedRowsError where it took nothing and says for which rows.
        """

    @classmethod
    def pause_after(cls, answer: Answer) -> Pause | None:
        """Return how long to leave the platform alone, by what an answer's headers say of the use so far."""
        del answer
        return None

    @classmethod
    def warning_in(cls, answer: Answer) -> str | None:
        """Return what an answer warns of besides its content, a word of our vocabulary; it is told once."""
        del answer
        return None


AnyProvider = Provider[Any, Any]
