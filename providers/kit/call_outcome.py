"""What a platform did with the rows of one call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from providers.kit.errors import RejectError
from providers.kit.rows.rejection_reasons import Rejection


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed(Sent):
    """What the platform did with the rows of a removal.

    It took every row but those in `rejected` and `unplaced`, whether or not their people were in the audience.
    `removed` is how many people left, None where the platform does not say; 0 is a success, as nobody was in it.
    """

    removed: int | None = None


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
