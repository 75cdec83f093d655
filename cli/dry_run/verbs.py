"""What can be shown without doing it: that users are added to an audience, or that they are removed."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from providers.kit.call_limits import Limits
from providers.kit.provider import AnyProvider
from providers.kit.rows.row_explanation import Explained, explained, explained_removal
from providers.kit.rows.users_to_rows import Rows, make_removal_rows, make_rows
from schemas.records import AudienceUser


@dataclass(frozen=True, slots=True)
class Verb:
    """What is done with users at an account."""

    rows: Callable[[AnyProvider, Iterable[tuple[int, AudienceUser]]], Iterator[Rows]]
    explained: Callable[[AnyProvider, AudienceUser], Explained]
    identifiers: Callable[[AnyProvider, object], Iterable[str]]
    limits: Callable[[AnyProvider], Limits]
    call: Callable[[AnyProvider, str, Sequence[msgspec.Raw]], Awaitable[object]]
    creates: bool
    """Whether an audience that is not there is made."""


VERBS: Mapping[str, Verb] = {
    "add": Verb(
        rows=make_rows,
        explained=explained,
        identifiers=lambda provider, row: provider.identifiers(row),
        limits=lambda provider: provider.limits,
        call=lambda provider, audience_id, rows: provider.send(audience_id, rows),
        creates=True,
    ),
    "remove": Verb(
        rows=make_removal_rows,
        explained=explained_removal,
        identifiers=lambda provider, row: provider.removal_identifiers(row),
        limits=lambda provider: provider.removal_limits,
        call=lambda provider, audience_id, rows: provider.remove(audience_id, rows),
        creates=False,
    ),
}
"""By mode."""
