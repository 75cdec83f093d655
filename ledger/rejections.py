"""Who of a batch or of a session's newest pass is rejected, by the last word on each record: indexes, never a value."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ledger.cursors import read_cursor, write_cursor
from ledger.final_outcomes import LastWord, last_words
from ledger.resources import RejectedTold
from ledger.view import RecordRow, View
from schemas.error_words import VOCABULARY
from schemas.target import parse_target

Place = list[str | int]
"""Partition and offset of the record, target, delivery, index in the request, field: pages are in this order."""

_KINDS = (int, int, str, str, int, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejections:
    """A page of rejected users, how many are not listed anywhere, and the cursor of the following page."""

    rejected: list[RejectedTold]
    unlisted: int
    next: str | None


def rejections(view: View, records: Iterable[RecordRow], cursor: str | None, most: int) -> Rejections:
    """Return so many rejected users of these records at most, those behind the cursor. Raises CursorError."""
    after = read_cursor(cursor, *_KINDS) if cursor else None
    total, listed, page, following = 0, 0, list[tuple[Place, RejectedTold]](), False
    for record in sorted(records, key=lambda record: record.origin):
        words = last_words(view.ends_of([record.origin]))
        total += sum(word.end.rejected for word in words)
        for place, told in sorted(_listed(view, record, words), key=lambda one: one[0]):
            listed += 1
            if after is None or place > after:
                following = following or len(page) == most
                page += [(place, told)] if len(page) < most else []
    end = write_cursor(page[-1][0]) if following else None
    return Rejections(rejected=[told for _, told in page], unlisted=max(0, total - listed), next=end)


def _listed(view: View, record: RecordRow, words: Sequence[LastWord]) -> Iterator[tuple[Place, RejectedTold]]:
    by_target = {word.end.target: word for word in words}
    for target, delivery, index, field, reason in view.rejected_of([record.origin]):
        if by_target[target].stands(delivery, f"{field}: {reason}" if field else reason):
            place: Place = [record.origin.partition, record.origin.offset, target, delivery, index, field or ""]
            yield place, _told(record, target, delivery, index, field, reason)


def _told(record: RecordRow, target: str, delivery: str, index: int, field: str | None, reason: str) -> RejectedTold:
    word, account = VOCABULARY.get(reason), parse_target(target)
    return RejectedTold(
        batch_id=record.batch_id,
        part=record.part,
        provider=account.provider,
        account=account.account or None,
        replay_id=None if delivery == "live" else delivery,
        index=index,
        field=field,
        reason=reason,
        remedy=word.remedy if word else "",
        mode=record.mode,
    )
