"""A table's users: first all are looked at and counted, then they are handed on in batches."""

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import msgspec

from audience_client.columns.consent import Channel, Consent
from audience_client.columns.continuation import Continuation, continuation_of, merged
from audience_client.columns.header_names import Field
from audience_client.columns.mapping import ColumnMapping
from audience_client.errors import FileError, quoted
from audience_client.files.bounds import MAX_TEXT
from audience_client.files.table import Block, Row, Table
from audience_client.users.closing_rows import closing_rows
from audience_client.users.encoded_users import EncodedUsers
from audience_client.users.user_fields import AMOUNTS, PLAIN_NUMBER, User, UserMaker

_encoder = msgspec.json.Encoder()


class Batch(NamedTuple):
    """Users as the JSON array that the server takes, and the numbers of their rows in the file."""

    users: bytes
    rows: Sequence[int]


class SpooledBatch(NamedTuple):
    """The same where the users may lie in a private file, until they are closed."""

    users: EncodedUsers
    rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class Counted:
    """Users that batches will have, and rows that were left out as nobody agreed in them.

    `closing_rows` are the numbers of the last rows, which were left out as totals or notes; see there.
    """

    users: int
    not_consented: int = 0
    closing_rows: tuple[int, ...] = ()


class UserReader:
    """Users of a table by a mapping; `country` is of those whose row says none, `limit` how many are taken at most."""

    def __init__(
        self, table: Table, mapping: ColumnMapping, *, country: str | None = None, limit: int | None = None
    ) -> None:
        self._table = table
        self._mapping = mapping
        self._limit = limit
        self._continuation = continuation_of(table.columns)
        self._closing = closing_rows(mapping, table.tail) if self._continuation is None else ()
        mapped = [column for columns in mapping.fields.values() for column in columns]
        consents = [consent.column for consent in mapping.consents]
        self._wanted = (
            list(dict.fromkeys(mapped + consents)) if self._continuation is None else [*range(len(table.columns))]
        )
        self._filter = _ConsentFilter(mapping, self._wanted) if mapping.only_consented else None
        self._maker = UserMaker(mapping, self._wanted, country)

    def count(self) -> Counted:
        """Look at every cell that is uploaded, and count users. Raises FileError where one can't be sent.

        A file whose cells were all looked at before is not read again.
        """
        if not self._needs_look():
            return self._counted(self._table.row_count - len(self._closing))
        rows = users = 0
        for block, of_customers in self._blocks():
            self._check(block)
            rows += of_customers
            users += len(block.rows)
        return self._counted(users, rows - users)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield users in the order of the file, so many at a time, the last batch aside; none reaches a disk."""
        for users, rows in self._filled(size, sys.maxsize):
            yield Batch(bytes(users), rows)
            users.close()

    def spooled_batches(self, size: int) -> Iterator[SpooledBatch]:
        """Yield the same batches, each of which takes little memory whatever its size; who gets one closes its users.

        Raises FileError where there is no room for a private file.
        """
        return self._filled(size, None)

    def _filled(self, size: int, held: int | None) -> Iterator[SpooledBatch]:
        filling = _Filling(self._table.name, held)
        left = self._limit
        for block, _ in self._blocks():
            users = self._maker.make(block.rows)
            most = len(users) if left is None else min(left, len(users))
            at = 0
            while at < most:
                end = min(most, at + size - len(filling.rows))
                filling.add(users[at:end], block.numbers[at:end])
                at = end
                if len(filling.rows) == size:
                    yield filling.batch()
                    filling = _Filling(self._table.name, held)
            left = None if left is None else left - most
            if left == 0:
                break
        if filling.rows:
            yield filling.batch()

    def original_rows(self, numbers: Sequence[int]) -> Iterator[tuple[int, Row]]:
        """Yield the file's own rows of users, all their columns as they are, with the lines that go on with them."""
        wanted = set(numbers)
        above: Row = ()
        is_wanted = False
        for block in self._table.blocks(range(len(self._table.columns)), is_strict=False):
            for number, row in zip(block.numbers, block.rows, strict=True):
                goes_on = self._continuation is not None and above and self._continuation.continues(above, row)
                is_wanted = is_wanted if goes_on else number in wanted
                above = merged(above, row) if goes_on else row
                if is_wanted:
                    yield number, row

    def _needs_look(self) -> bool:
        has_amounts = any(field in self._mapping.fields for field in AMOUNTS)
        return not self._table.is_checked or has_amounts or bool(self._filter or self._continuation)

    def _counted(self, users: int, not_consented: int = 0) -> Counted:
        return Counted(users if self._limit is None else min(users, self._limit), not_consented, self._closing)

    def _blocks(self) -> Iterator[tuple[Block, int]]:
        """Yield the rows of users, and how many customers there were before some were left out."""
        blocks = self._table.blocks(self._wanted)
        if self._continuation is not None:
            blocks = _customers(blocks, self._continuation)
        for block in map(self._without_closing, blocks):
            yield self._filter.left(block) if self._filter else block, len(block.rows)

    def _without_closing(self, block: Block) -> Block:
        if not self._closing or not block.numbers or block.numbers[-1] < self._closing[0]:
            return block
        numbered = zip(block.numbers, block.rows, strict=True)
        left = [(number, row) for number, row in numbered if number not in self._closing]
        return Block([number for number, _ in left], [row for _, row in left])

    def _check(self, block: Block) -> None:
        if block.rows and max(map(len, chain.from_iterable(block.rows)), default=0) > MAX_TEXT:
            self._raise_for_cell(block, self._mapping.fields, lambda cell: len(cell) > MAX_TEXT, _TOO_LONG)
        self._raise_for_cell(
            block, [field for field in AMOUNTS if field in self._mapping.fields], _is_no_amount, _NO_AMOUNT
        )

    def _raise_for_cell(
        self, block: Block, fields: Iterable[Field], is_wrong: Callable[[str], bool], problem: str
    ) -> None:
        columns = [column for field in fields for column in self._mapping.fields[field]]
        for column in columns:
            place = self._wanted.index(column)
            for number, row in zip(block.numbers, block.rows, strict=True):
                if is_wrong(row[place]):
                    name = quoted(self._table.columns[column])
                    raise FileError(
                        self._table.name, f"the cell in {name} {problem}", row=number, unit=self._table.unit
                    )


_LEAVE_OUT = "correct it, or leave the column out by --ignore-column"
_TOO_LONG = f"has more than {MAX_TEXT:,} characters, which no such field has; {_LEAVE_OUT}"
_NO_AMOUNT = f"is no plain number, such as 1234.50 without signs and commas; {_LEAVE_OUT}"


def _is_no_amount(cell: str) -> bool:
    return bool(cell.strip()) and not PLAIN_NUMBER.fullmatch(cell)


def _customers(blocks: Iterator[Block], continuation: Continuation) -> Iterator[Block]:
    """Put lines of one customer together, under the number of the first."""
    customer: Row = ()
    first = 0
    for block in blocks:
        numbers: list[int] = []
        rows: list[Row] = []
        for number, row in zip(block.numbers, block.rows, strict=True):
            if customer and continuation.continues(customer, row):
                customer = merged(customer, row)
                continue
            if customer:
                numbers.append(first)
                rows.append(customer)
            customer, first = row, number
        yield Block(numbers, rows)
    if customer:
        yield Block([first], [customer])


class _Filling:
    """A batch that is not full yet."""

    def __init__(self, file: str, held: int | None) -> None:
        self.rows = array("q")
        self._users = EncodedUsers(file, held)

    def add(self, users: Sequence[User], numbers: Sequence[int]) -> None:
        self._users.add(_encoder.encode(users)[1:-1])
        self.rows.extend(numbers)

    def batch(self) -> SpooledBatch:
        self._users.finish()
        return SpooledBatch(self._users, self.rows)


class _ConsentFilter:
    """Leaves out by what somebody did not agree to be reached, and whom nothing is left of."""

    def __init__(self, mapping: ColumnMapping, wanted: Sequence[int]) -> None:
        self._of_channel = {channel: _of_channel(mapping.consents, channel) for channel in ("email", "phone")}
        self._place = {column: place for place, column in enumerate(wanted)}
        self._columns: dict[str, list[int]] = {
            field: [self._place[column] for column in mapping.fields.get(field, ())]
            for field in ("email", "phone", "edgeTagId")
        }

    def left(self, block: Block) -> Block:
        """Return the rows of people who agreed, without that by which they did not."""
        numbers: list[int] = []
        rows: list[Row] = []
        for number, row in zip(block.numbers, block.rows, strict=True):
            kept = self._kept(row)
            if kept is not None:
                numbers.append(number)
                rows.append(kept)
        return Block(numbers, rows)

    def _kept(self, row: Row) -> Row | None:
        agreed = {channel: self._agrees(consents, row) for channel, consents in self._of_channel.items()}
        if not any(agreed.values()):
            return None
        kept = list(row)
        for channel, is_agreed in agreed.items():
            for place in self._columns[channel] if not is_agreed else ():
                kept[place] = ""
        return kept if any(kept[place].strip() for columns in self._columns.values() for place in columns) else None

    def _agrees(self, consents: Sequence[Consent], row: Row) -> bool:
        return all(consent.agrees(row[self._place[consent.column]]) for consent in consents)


def _of_channel(consents: Sequence[Consent], channel: Channel) -> Sequence[Consent]:
    """Return what decides about a channel: its own columns and general ones, those of the other if there are none."""
    own = [consent for consent in consents if consent.channel in (channel, "any")]
    return own or consents
