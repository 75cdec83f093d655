"""How people leave an audience of a platform, as a declaration."""

from dataclasses import dataclass

from providers.kit.call_limits import Limits
from providers.kit.rows.columns import DeclarationError, RowTemplate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Removal:
    """That a platform takes people out of an audience, and how: `Provider.remove` makes the call.

    A removal names people and says nothing else of them, so its rows have what identifies somebody, and no values or
    attributes.
    """

    says: str
    """By which call people leave, for pages; stands behind "People leave by"."""

    source: str
    """Where the platform says so."""

    template: RowTemplate | None = None
    """How rows look; None: those columns of an addition's rows that make a row alone (`removal_template_of`)."""

    limits: Limits | None = None
    """What one call holds; None: as much as an addition's."""

    keeps: int = 0
    """Members that must be left, by the platform's documentation: it refuses a removal that would leave fewer."""

    def __post_init__(self) -> None:
        if not self.says.strip() or not self.source.strip():
            raise DeclarationError("removal: say by which call people leave, and where the platform says so")
        if self.keeps < 0:
            raise DeclarationError("removal: an audience can't keep fewer than no members")
