"""The one interpreter of declared rows: the only place that applies rules, hashes and says what was left out."""

import base64
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

import msgspec

from providers.columns import FIELDS, PURCHASE, Column, Form, RowTemplate
from providers.normalise import HASH_LENGTH, as_hash, sha256_hex
from providers.reasons import Rejection
from providers.rules import Step
from providers.settings import AccountSettings
from providers.shapes import EMPTY, Values, builder, reader
from schemas.countries import alpha_2
from schemas.records import AudienceUser

REMEMBERED = 8192
"""Values of a field that repeats, such as a country, whose cells are kept."""

LONGEST_REMEMBERED = 64
"""Characters of such a value; longer ones hardly repeat, and would fill the memory."""

REPEATED = frozenset({"firstName", "lastName", "country", "postalCode"})

_Cell = Callable[[AudienceUser, str | None], object]
_Finish = Callable[[str, str | None], str]

Made = tuple[object, Sequence[Rejection]]
"""A user's row, or why there is none, and which values the row lacks, each with the reason."""


class _TextColumn(NamedTuple):
    """A column whose text may be left out: where it stands, and what is wrong with a text that is."""

    position: int
    field: str
    text: Callable[[AudienceUser], str | None]
    fault: Callable[[str, str | None], str | None]


class RowMaker:
    """A template, compiled for one account's settings; of bare rows where attributes are left out.

    `make` is pure. `columns` are those that are switched on, in the row's order, `names` what the platform calls them.
    """

    def __init__(self, template: RowTemplate, settings: AccountSettings, *, with_attributes: bool = True) -> None:
        self.columns = columns = _switched_on(template, settings)
        self.names = tuple(column.name for column in columns)
        self.make = _maker(template, columns, settings, with_attributes=with_attributes)
        self._read = reader(template.row, columns)

    def identifiers(self, row: object) -> list[str]:
        """Return the names of the identifiers that a row has, as it was made or as it was read from JSON."""
        return list(dict.fromkeys(self._read(row)))


def _switched_on(template: RowTemplate, settings: AccountSettings) -> list[Column]:
    columns = dict.fromkeys(column for _, column in template.places)
    return [column for column in columns if column.when is None or column.when.holds(settings)]


def _maker(
    template: RowTemplate, columns: Sequence[Column], settings: AccountSettings, *, with_attributes: bool
) -> Callable[[AudienceUser], Made]:
    """Return the function that makes a row.

    1. Every column's cell. 2. Who has no group of columns that makes a row is rejected, then who a column's function
    rejects. 3. The cells go to their places. 4. Texts that came to nothing are told.
    """
    position = {column: index for index, column in enumerate(columns)}
    wanted = [column for column in columns if with_attributes or not column.is_attribute]
    cells = [_cell(column, settings) if column in wanted else _no_cell for column in columns]
    groups = [[position[one] for one in group] for group in template.usable if position.keys() >= set(group)]
    is_usable = _usable(groups)
    texts = [_text_column(position[column], column, settings) for column in wanted if column.is_text]
    has_twins = len({one.field for one in texts}) < len(texts)
    rejects = [one for column in template.rejects for one in texts if one.position == position.get(column)]
    computed = [position[column] for column in wanted if column.value is not None]
    build = builder(template.row, position)

    def make(user: AudienceUser) -> Made:
        country = alpha_2(user.country) if user.country else None
        values = [cell(user, country) for cell in cells]
        has_gaps = EMPTY in values
        if (has_gaps or not groups) and not is_usable(values):
            return _rejection(user, country, rejects), ()
        for index in computed:
            if isinstance(value := values[index], Rejection):
                return value, ()
        lacking = [one for one in texts if values[one.position] == EMPTY] if has_gaps else []
        if lacking and has_twins:
            sent = {one.field for one in texts if values[one.position] != EMPTY}
            lacking = [one for one in lacking if one.field not in sent]
        return build(values), _left_out(user, country, lacking) if lacking else ()

    return make


def _usable(groups: Sequence[Sequence[int]]) -> Callable[[Values], bool]:
    singles = [group[0] for group in groups if len(group) == 1]
    several = [group for group in groups if len(group) > 1]

    def is_usable(values: Values) -> bool:
        for single in singles:
            if values[single] != EMPTY:
                return True
        return any(all(values[one] != EMPTY for one in group) for group in several)

    return is_usable


def _rejection(user: AudienceUser, country: str | None, rejects: Iterable[_TextColumn]) -> Rejection:
    for one in rejects:
        if (text := one.text(user)) and (fault := one.fault(text, country)):
            return Rejection(one.field, fault)
    return Rejection(None, "no_identifier")


def _left_out(user: AudienceUser, country: str | None, lacking: Iterable[_TextColumn]) -> list[Rejection]:
    texts = ((one, one.text(user)) for one in lacking)
    faults = ((one.field, one.fault(text, country)) for one, text in texts if text and text.strip())
    return list({field: Rejection(field, fault) for field, fault in faults if fault}.values())


def _text_column(position: int, column: Column, settings: AccountSettings) -> _TextColumn:
    return _TextColumn(position, column.field or "", attrgetter(FIELDS[column.field or ""]), fault_of(column, settings))


def fault_of(column: Column, settings: AccountSettings) -> Callable[[str, str | None], str | None]:
    """Return the function that says which word fits a text of which a column's steps leave nothing."""
    rules = [rule for rule in column.rules if rule.when is None or rule.when.holds(settings)]
    faults = [next((later.fault for later in rules[index:] if later.fault), None) for index in range(len(rules))]
    steps = [(rule.make(settings), fault) for rule, fault in zip(rules, faults, strict=True)]

    def fault(text: str, country: str | None) -> str | None:
        if column.hashed != "text" and as_hash(text):
            return "hashed" if column.hashed == "refused" else None
        left: str | None = text
        for step, fault in steps:
            left = step(left, country) if left else None
            if not left:
                return fault
        return None

    return fault


def _no_cell(user: AudienceUser, country: str | None) -> object:
    del user, country
    return EMPTY


def _cell(column: Column, settings: AccountSettings) -> _Cell:
    if column.value is not None:
        return _computed_cell(column.value, settings)
    return _text_cell(column, settings) if column.is_text else _plain_cell(column.field or "")


def _computed_cell(value: Callable[[AudienceUser, AccountSettings], object], settings: AccountSettings) -> _Cell:
    def cell(user: AudienceUser, country: str | None) -> object:
        del country
        made = value(user, settings)
        return EMPTY if made is None or made == () else made

    return cell


def _plain_cell(field: str) -> _Cell:
    """Return a cell that holds a value as it was uploaded."""
    attribute = attrgetter(FIELDS["purchase"] if field in PURCHASE else FIELDS[field])
    inner = attrgetter(PURCHASE[field]) if field in PURCHASE else None

    def cell(user: AudienceUser, country: str | None) -> object:
        del country
        value = attribute(user)
        if inner is not None and value is not None:
            value = inner(value)
        elif isinstance(value, msgspec.Struct):
            value = msgspec.to_builtins(value)
        return EMPTY if value is None or value == {} else value

    return cell


def _text_cell(column: Column, settings: AccountSettings) -> _Cell:
    text_of = attrgetter(FIELDS[column.field or ""])
    finish = _finish(column, settings)
    if column.field in REPEATED and column.form != "plain":
        return _remembering_cell(text_of, finish, by_country=any(rule.by_country for rule in column.rules))

    def cell(user: AudienceUser, country: str | None) -> object:
        text = text_of(user)
        return finish(text, country) if text else EMPTY

    return cell


def _remembering_cell(text_of: Callable[[AudienceUser], str | None], finish: _Finish, *, by_country: bool) -> _Cell:
    """Return a cell that keeps what it made of texts; all is forgotten when it is full, which costs least."""
    known: dict[object, str] = {}

    def cell(user: AudienceUser, country: str | None) -> object:
        text = text_of(user)
        if not text:
            return EMPTY
        key = (text, country) if by_country else text
        found = known.get(key)
        if found is None:
            if len(known) >= REMEMBERED:
                known.clear()
            found = finish(text, country)
            if len(text) <= LONGEST_REMEMBERED:
                known[key] = found
        return found

    return cell


def _finish(column: Column, settings: AccountSettings) -> _Finish:
    """Return the way of a text through a column's rules to what goes out."""
    step, finished, hashed = chain(column, settings), _finished(column.form), column.hashed

    def finish(text: str, country: str | None) -> str:
        if len(text) >= HASH_LENGTH and hashed != "text" and (given := as_hash(text)):
            return EMPTY if hashed == "refused" else form_of_hash(given, column.form)
        left = step(text, country)
        return finished(left) if left else EMPTY

    return finish


def chain(column: Column, settings: AccountSettings) -> Step:
    """Return the steps of a column's rules as one."""
    steps = [rule.make(settings) for rule in column.rules if rule.when is None or rule.when.holds(settings)]
    if len(steps) == 1:
        return steps[0]
    if len(steps) == 2:
        return _both(*steps)

    def step(text: str, country: str | None) -> str | None:
        left: str | None = text
        for one in steps:
            left = one(left, country) if left else None
        return left

    return step


def _both(first: Step, second: Step) -> Step:
    def both(text: str, country: str | None) -> str | None:
        left = first(text, country)
        return second(left, country) if left else None

    return both


def _finished(form: Form) -> Callable[[str], str]:
    if form == "sha256":
        return sha256_hex
    return str if form == "plain" else lambda text: form_of_hash(sha256_hex(text), form)


def form_of_hash(digest: str, form: Form) -> str:
    """Return a SHA-256 of 64 hexadecimal digits as a column wants it."""
    return base64.b64encode(bytes.fromhex(digest)).decode() if form == "sha256_base64" else digest
