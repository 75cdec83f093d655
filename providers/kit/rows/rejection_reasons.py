"""Why users, or values of theirs, do not reach a platform: reasons by field, and which of several is given."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas.records import AudienceUser


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a user makes no row: the field of the upload that is at fault, a word of the vocabulary."""

    field: str | None
    reason: str


IDENTIFIERS = ("email", "phone", "edgeTagId")
"""Fields that say who a user is; of several faults the one of the first field is given."""

EMPTY = frozenset({"hash_of_nothing", "placeholder"})
"""Reasons that say no more than that a cell is empty."""

UNREADABLE = {
    "email": "not_an_email",
    "phone": "not_a_phone",
    "firstName": "no_letters",
    "lastName": "no_letters",
    "country": "not_a_country",
    "postalCode": "no_letters",
}
"""What is wrong with a value that a platform's rule leaves nothing of."""


def reason_of(rejection: Rejection) -> str:
    """Return a reason as completions count it: `field: reason`, or the reason alone."""
    return f"{rejection.field}: {rejection.reason}" if rejection.field else rejection.reason


def rejection_of(said: Rejection, dropped: Sequence[tuple[str, str]]) -> Rejection:
    """Return why a user makes no row: what the provider said, or what was dropped before it could say so.

    A fault that can be corrected comes before an empty cell, and of two identifiers the first of IDENTIFIERS.
    """
    faults = [Rejection(*fault) for fault in dropped if fault[0] in IDENTIFIERS]
    candidates = [said, *faults] if said.field in IDENTIFIERS else faults
    return min(candidates, key=_order, default=said)


def _order(rejection: Rejection) -> tuple[bool, int]:
    return rejection.reason in EMPTY, IDENTIFIERS.index(rejection.field or "")


def unreadable(user: AudienceUser, fields: Iterable[str]) -> list[Rejection]:
    """Return why these fields, as they are uploaded, came to nothing, of those that a user has."""
    return [Rejection(field, UNREADABLE[field]) for field, _ in given(user, fields)]


def given(user: AudienceUser, fields: Iterable[str]) -> list[tuple[str, str]]:
    """Return those of these fields, as they are uploaded, that are not blank, with their texts."""
    texts = {
        "edgeTagId": user.edge_tag_id,
        "email": user.email,
        "phone": user.phone,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "country": user.country,
        "postalCode": user.postal_code,
    }
    return [(field, text) for field in fields if (text := texts[field]) and text.strip()]
