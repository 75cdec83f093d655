"""The rows of one record that go to the platform, made in turns and cut into groups."""

import asyncio
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace

from consumer.delivery.platform_outcome import Within
from consumer.removals.late_record import Numbered
from providers.kit.call_limits import Limits
from providers.kit.provider import AnyProvider
from providers.kit.rows.rows_per_call import RowGroup, group_rows
from providers.kit.rows.users_to_rows import Rows, make_removal_rows, make_rows
from schemas.records import AudienceUser, Mode, Progress


def rows_in_turns(
    provider: AnyProvider,
    users: Iterable[Numbered],
    mode: Mode,
    progress: Progress | None,
    *,
    with_attributes: bool,
) -> Iterator[Rows]:
    """Make rows in turns, the last of which has those of users that no earlier try settled."""
    made = Rows()
    if mode == "remove":
        turns = make_removal_rows(provider, users)
    else:
        turns = make_rows(provider, users, with_attributes=with_attributes)
    for made in turns:
        yield made
    yield _still_open(made, progress)


async def removal_groups(provider: AnyProvider, users: Iterable[AudienceUser], limits: Limits) -> list[RowGroup]:
    """Return the groups of rows that take users out who are no users of the record."""
    made = Rows()
    for turn in make_removal_rows(provider, enumerate(users)):
        made = turn
        await asyncio.sleep(0)
    return grouped(made, limits)


def grouped(made: Rows, limits: Limits) -> list[RowGroup]:
    """Return rows in groups of tuples, of which the collector of cycles forgets those that hold bytes alone.

    It goes through lists of tens of thousands again and again, and holds the event loop up meanwhile.
    """
    return [RowGroup(tuple(group.rows), group.indexes) for group in group_rows(made, limits)]


def _still_open(made: Rows, progress: Progress | None) -> Rows:
    """Return what was made of users that no earlier try settled."""
    if progress is None:
        return made
    within = Within(progress.open)
    kept = [position for position, index in enumerate(made.indexes) if index in within]
    return replace(
        made,
        rows=[made.rows[position] for position in kept],
        indexes=array("q", [made.indexes[position] for position in kept]),
        rejected=[(index, rejection) for index, rejection in made.rejected if index in within],
    )
