"""The base class of providers: a platform's settings, limits and rows as declarations, and its calls."""

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, cast

import msgspec

from providers.kit.call_limits import Limits
from providers.kit.call_outcome import NamedRowsError, Removed, Sent
from providers.kit.errors import platform_error
from providers.kit.http import Answer, Request, Transport
from providers.kit.rate_limiter import Pause, Rate
from providers.kit.removal_declaration import Removal
from providers.kit.rows.columns import DeclarationError, RowTemplate
from providers.kit.rows.declaration_checks import check_settings, check_without_attributes
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.removal_template import removal_template_of
from providers.kit.rows.template_interpreter import RowMaker
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
    "Removal",
    "Removed",
    "Sent",
    "Surroundings",
]

PREFIX = "blotout_"

SettingsT = TypeVar("SettingsT", bound=AccountSettings)
RowT = TypeVar("RowT")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Time and chance as a provider meets them; tests and previews put others in their place."""

    now: Callable[[], datetime] = _now
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    randbits: Callable[[int], int] = secrets.randbits


REAL = Surroundings()


class Provider(ABC, Generic[SettingsT, RowT]):
    """One platform account. Subclasses hold no state but what they are made with.

    The runner owns time, retries, slots, pace, splitting and completions. For an addition it makes rows by `template`,
    or by `row` where there is none. It calls `find_audience`, once per audience `create_audience` if that finds none,
    and `send` for each group of rows that keeps the limits. For a removal it makes rows by `removal_template`, or by
    `removal_row`. It calls `find_audience`, never `create_audience`, and `remove` for each group of rows. Calls of one
    account run at the same time.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[AccountSettings]]
    limits: Limits
    rates: ClassVar[Mapping[str, Sequence[Rate]]]
    """Each operation that requests name, with the platform's documented limits, () where there are none."""
    codes: ClassVar[Mapping[str, str]] = {}
    """The platform's documented error codes in words of our vocabulary."""
    template: ClassVar[RowTemplate | None] = None
    """How rows are made; a class without it writes `row` and `identifiers` itself."""
    shares_calls: ClassVar[bool] = True
    """Whether rows of several records may go in one `send`; False where a call must belong to one record."""
    says_matched: ClassVar[bool] = False
    """Whether the platform says of a call how many of its users it knows, which `send` returns as `matched`."""
    removal: ClassVar[Removal | None] = None
    """How people leave an audience; without it the platform `cannot_remove`."""

    @classmethod
    def check_declaration(cls) -> None:
        """Raise DeclarationError where a template contradicts the settings or the class's own methods."""
        if cls.template is not None:
            check_settings(cls.template, cls.settings_type)
            if not cls.is_declared() and cls.bare_row is Provider.bare_row:
                check_without_attributes(cls.template)
        if template := cls.removal_template():
            check_settings(template, cls.settings_type)
        if len({cls.removal is not None, "remove" in cls.rates, cls.remove is not Provider.remove}) > 1:
            raise DeclarationError("declare `removal`, write `remove` and give it a rate, or none of them")

    def __init__(self, settings: SettingsT, transport: Transport, around: Surroundings = REAL) -> None:
        self.settings = settings
        self.transport = transport
        self.around = around

    @property
    @abstractmethod
    def account_id(self) -> str:
        """The platform's own id of the account, which is no secret; each account has audiences of its own."""

    def platform_name(self, name: str, *, disable_prefix: bool) -> str:
        """Return what the platform calls the audience."""
        return name if disable_prefix else PREFIX + name.replace(" ", "_")

    @classmethod
    def makes_rows(cls) -> bool:
        """Tell whether there is anything that makes rows: a template, or methods of the class's own."""
        has_own_rows = cls.row is not Provider.row and cls.identifiers is not Provider.identifiers
        return cls.template is not None or has_own_rows

    @classmethod
    def is_declared(cls) -> bool:
        """Tell whether the template alone makes rows: a class with a `row` of its own may make any others."""
        return cls.template is not None and cls.row is Provider.row

    @cached_property
    def maker(self) -> RowMaker:
        """The template, compiled for this account."""
        return RowMaker(self._template, self.settings)

    @cached_property
    def bare_maker(self) -> RowMaker:
        """The same of bare rows."""
        return RowMaker(self._template, self.settings, with_attributes=False)

    @classmethod
    def has_own_removal_rows(cls) -> bool:
        """Tell whether the class makes the rows of a removal by a `removal_row` of its own."""
        return cls.removal is not None and cls.removal_row is not Provider.removal_row

    @classmethod
    def removal_template(cls) -> RowTemplate | None:
        """Return how the rows of a removal are made, None where `removal_row` makes them, or there are none.

        Raises DeclarationError where they would be derived from the rows of an addition and `row` makes those.
        """
        if cls.removal is None or cls.has_own_removal_rows():
            return None
        if cls.removal.template is not None:
            return cls.removal.template
        if cls.template is None or not cls.is_declared():
            raise DeclarationError("removal: `row` is by hand, so give it a template, or write `removal_row`")
        return removal_template_of(cls.template)

    @cached_property
    def removal_maker(self) -> RowMaker:
        """The template of a removal's rows, compiled for this account. Raises RejectError(`cannot_remove`)."""
        template = self.removal_template()
        if template is None:
            raise platform_error("cannot_remove")
        return RowMaker(template, self.settings)

    @property
    def removal_limits(self) -> Limits:
        """What one call of a removal holds."""
        return (self.removal and self.removal.limits) or self.limits

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
        hand, it is what `row` returns; beside a template with attributes that is a DeclarationError.
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

    def removal_row(self, user: AudienceUser) -> object:
        """Turn a user into a row of a removal, or return the Rejection that says why it makes none.

        Pure as `row` is. It has what identifies somebody and nothing else; a name, a country or a postal code alone
        identifies nobody. Raises RejectError(`cannot_remove`) where the platform takes nobody out.
        """
        return self.removal_maker.make(user)[0]

    def removal_identifiers(self, row: Any) -> Iterable[str]:
        """Return the platform's names of the identifiers that a row of a removal has."""
        return self.identifiers(row) if self.has_own_removal_rows() else self.removal_maker.identifiers(row)

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

    async def remove(self, audience_id: str, rows: Sequence[msgspec.Raw]) -> Removed:
        """Take people out of the audience by rows of a removal, each already JSON, and say what the platform did.

        Returns when the platform has accepted them for good. Nobody of them in the audience is no error, and a repeated
        call does no harm. It makes no audience: where that is gone, it raises AudienceGoneError. Raises PlatformError,
        NamedRowsError as `send` does; RejectError(`cannot_remove`) where the platform takes nobody out,
        `removal_refused` where it takes nobody out of this audience.
        """
        del audience_id, rows
        raise platform_error("cannot_remove")

    async def has_ended(self, job_id: str) -> bool:
        """Tell whether a job that `send` told of by `job_taken` has ended, so that it adds nobody any more.

        One that the platform does not know any more has. Only for platforms whose calls begin jobs: a removal waits for
        those that began before it. Raises PlatformError.
        """
        del job_id
        return True

    @classmethod
    def placeholder_answer(cls, request: Request) -> Answer | None:
        """Return what a preview goes on with as the answer to a look-up, made of placeholders; None: it ends there.

        Only for a removal that looks people up first, so that a preview also shows what follows.
        """
        del request
        return None

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
