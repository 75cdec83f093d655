"""Who of a batch or of a session's newest pass is rejected, by the last word on each record: indexes, never a value."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import attrgetter

from ledger.cursors import read_cursor, write_cursor
from ledger.final_outcomes import LastWord, last_words
from ledger.resources import UserRejection
from ledger.view import RecordRow, RejectionCount, View
from schemas.error_words import VOCABULARY
from schemas.records import Origin
from schemas.target import parse_target

Place = list[str | int]
"""Partition and offset of the record, target, delivery, index in the request, field: pages are in this order."""

READ_AT_ONCE = 20
"""Records whose rejected users are read in one go: that many too many at most where a page ends."""

_KINDS = (int, int, str, str, int, str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejections:
    """A page of rejected users, how many are not listed anywhere, and the cursor of the following page."""

    rejected: list[UserRejection]
    unlisted: int
    next: str | None


@dataclass(slots=True, kw_only=True)
class _Page:
    after: Place | None
    most: int
    total: int = 0
    listed: int = 0
    found: list[tuple[Place, UserRejection]] = field(default_factory=list)
    has_more: bool = False

    def is_elsewhere(self, origin: Origin) -> bool:
        """Tell whether no user of a record can be on this page, nor tell whether there is a following one."""
        start: Place = [origin.partition, origin.offset]
        return self.has_more or (self.after is not None and start < self.after[:2])

    def count(self, counts: Iterable[RejectionCount]) -> None:
        """Note how many users of a record are rejected, and how many of them are listed."""
        for one in counts:
            self.total, self.listed = self.total + one.rejected, self.listed + one.listed

    def read(self, view: View, records: Mapping[Origin, RecordRow]) -> None:
        """Note which users of records are rejected."""
        words = {(word.end.origin, word.end.target): word for word in last_words(view.ends_of(records))}
        self.total += sum(word.end.rejected for word in words.values())
        for place, rejection in sorted(_listed(view, records, words), key=lambda one: one[0]):
            self.listed += 1
            if self.after is None or place > self.after:
                self.has_more = self.has_more or len(self.found) == self.most
                self.found += [(place, rejection)] if len(self.found) < self.most else []


def rejections(view: View, records: Iterable[RecordRow], cursor: str | None, most: int) -> Rejections:
    """Return so many rejected users of these records at most, those behind the cursor. Raises CursorError.

    Records that have none on the page are counted and not read, unless an account got one several times: then it takes
    reading which of its rejections stand.
    """
    page = _Page(after=read_cursor(cursor, *_KINDS) if cursor else None, most=most)
    by_origin = {record.origin: record for record in records}
    groups = groupby(view.rejections_of(sorted(by_origin)), key=attrgetter("origin"))
    counted = ((origin, list(group)) for origin, group in groups)
    while some := list(islice(counted, READ_AT_ONCE)):
        read: dict[Origin, RecordRow] = {}
        for origin, counts in some:
            if page.is_elsewhere(origin) and all(one.is_only for one in counts):
                page.count(counts)
            else:
                read[origin] = by_origin[origin]
        page.read(view, read)
    end = write_cursor(page.found[-1][0]) if page.has_more else None
    rejected = [one for _, one in page.found]
    return Rejections(rejected=rejected, unlisted=max(0, page.total - page.listed), next=end)


def _listed(
    view: View, records: Mapping[Origin, RecordRow], words: Mapping[tuple[Origin, str], LastWord]
) -> Iterator[tuple[Place, UserRejection]]:
    for origin, target, delivery, index, name, reason in view.rejected_of(records):
        if words[origin, target].stands(delivery, f"{name}: {reason}" if name else reason):
            place: Place = [origin.partition, origin.offset, target, delivery, index, name or ""]
            yield place, _rejection(records[origin], target, delivery, index, name, reason)


def _rejection(
    record: RecordRow, target: str, delivery: str, index: int, field_name: str | None, reason: str
) -> UserRejection:
    word, account = VOCABULARY.get(reason), parse_target(target)
    return UserRejection(
        batch_id=record.batch_id,
        part=record.part,
        sequence=record.sequence,
        provider=account.provider,
        account=account.account or None,
        replay_id=None if delivery == "live" else delivery,
        index=index,
        field=field_name,
        reason=reason,
        remedy=word.remedy if word else "",
        mode=record.mode,
    )
