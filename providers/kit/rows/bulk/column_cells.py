"""A column's cells of many users at once, for all whose values need no second look.

Where a column's rules leave nothing of a text, its cell is None: the user's row is made by itself, and counts it.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from hashlib import sha256
from itertools import takewhile
from operator import attrgetter

import msgspec

from providers.kit.rows.bulk.row_source import Frame
from providers.kit.rows.bulk.user_columns import Cells, Remembered, UserColumns, bulk_repair
from providers.kit.rows.columns import PURCHASE, REPEATED, Column, Form
from providers.kit.rows.normalisers import sha256_hex
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.row_json import NOTHING
from providers.kit.rows.rule_chain import Finish, finisher, form_of_hash, switched_on
from providers.kit.rows.rules import Rule
from providers.kit.settings import AccountSettings
from schemas.countries import alpha_2
from schemas.records import AudienceUser, Purchase
from schemas.repairs.users import fault_of_currency, uncounted_repair

CellsOf = Callable[[UserColumns], Cells]

Make = Callable[[str, str], str | None]
"""Makes a cell of a text, of a user of a country as it was given, which may be empty."""

_BETWEEN = "\0"
"""Stands between a country and a text. A country that holds it is no ordinary one, so its user is deferred."""

_encode = msgspec.json.Encoder().encode


def column_cells(column: Column, settings: AccountSettings, frame: Frame, *, as_they_are: bool) -> CellsOf:
    """Return what makes a column's cells, each in its frame; `as_they_are` as of `by_column`."""
    if column.value is not None:
        return _computed(column, settings, frame)
    field = column.field or ""
    if field == "purchase":
        return _purchases(frame)
    if field in PURCHASE:
        return _amounts(field, frame) if field != "purchase.currency" else _currencies(frame)
    make = _make(finisher(column, settings) if column.is_text else _as_given(column), column.form, frame)
    if field in REPEATED:
        by_country = any(rule.by_country for rule in column.rules)
        return _repeated(field, make, by_country=by_country, as_it_is=as_they_are)
    return _canonical_cells(column, settings, frame, make) if column.is_text else partial(_each, field, make)


def hidden_cells(column: Column, settings: AccountSettings) -> CellsOf:
    """Return what makes the cells of an attribute that bare rows lack; its function may still reject."""
    none = _none if column.value is None else _computed(column, settings, Frame())
    return lambda users: [cell and "" for cell in none(users)]


def guard(field: str, *, as_they_are: bool) -> CellsOf:
    """Return what makes empty cells of a field that goes to no column, None where its value needs a repair."""
    return _repeated(field, lambda text, country: "", by_country=False, as_it_is=as_they_are)


def currency_guard() -> CellsOf:
    """Return the same for the currency of purchases."""
    known = Remembered(lambda text: None if text and fault_of_currency(text) else "")
    return partial(_of_currencies, known)


def _none(users: UserColumns) -> Cells:
    return [""] * len(users.users)


def _as_given(column: Column) -> Finish:
    """Return the way of a value that goes out as it was given; nobody is known by a blank one."""
    if not column.is_identifier:
        return lambda text, _: text
    return lambda text, _: "" if text.isspace() else text


def _make(finish: Finish, form: Form, frame: Frame) -> Make:
    """Return what makes a cell of an ordinary text."""

    def make(text: str, country: str) -> str | None:
        code = uncounted_repair("country", country, None) if country else None
        content = finish(text, alpha_2(code) if code else None)
        return frame.around(escaped(content) if form == "plain" else content) or None

    return make


def escaped(text: str) -> str:
    """Return a text as JSON has it, without quotes."""
    return _encode(text)[1:-1].decode()


def _repeated(field: str, make: Make, *, by_country: bool, as_it_is: bool) -> CellsOf:
    """Return what makes the cells of a field of which many users have the same value, each only once."""

    def cell(text: str, country: str = "") -> str | None:
        left = bulk_repair(field, text, country, as_it_is=as_it_is)
        return left and make(left, country)

    if not by_country and field != "postalCode":
        known = Remembered(cell)
        return lambda users: known.of(users.given[field], users.is_over)

    def cell_of_pair(key: str) -> str | None:
        country, _, text = key.partition(_BETWEEN)
        return cell(text, country)

    known_pairs = Remembered(cell_of_pair)
    return lambda users: known_pairs.of(
        map(_BETWEEN.join, zip(users.given["country"], users.given[field], strict=True)), users.is_over
    )


def _each(field: str, make: Make, users: UserColumns) -> Cells:
    """Make each cell by itself."""
    given = zip(users.given[field], users.given["country"], strict=True)
    return [
        "" if not text else None if index in users.deferred or users.is_over() else _tried(make, text, country)
        for index, (text, country) in enumerate(given)
    ]


def _tried(make: Make, text: str, country: str) -> str | None:
    """Make a cell, None where a rule fails: the user's row is made by itself, and counts it."""
    try:
        return make(text, country)
    except Exception:
        return None


def _canonical_cells(column: Column, settings: AccountSettings, frame: Frame, make: Make) -> CellsOf:
    """Return what makes the cells of texts in canonical form all at once, and those of others one by one.

    Such texts need not go through the first rules, as these would leave them as they are. Where no first rule brings
    texts into canonical form, each text goes through all rules by itself.
    """
    field = column.field or ""
    rules = switched_on(column, settings)
    first = list(takewhile(lambda rule: field in rule.keeps, rules))
    rest = rules[len(first) :]
    one_by_one = partial(_each, field, make)
    if not any(field in rule.settles for rule in first) or not all(rule.change for rule in rest):
        return one_by_one
    finish = _digests if column.form == "sha256" and frame == Frame() else partial(_finished, column.form, frame)

    def cells(users: UserColumns) -> Cells:
        try:
            found = finish(rest, field, users)
        except Exception:
            return one_by_one(users)
        return found if all(found) else _completed(found, users, field, make)

    return cells


def _digests(rules: Sequence[Rule], field: str, users: UserColumns) -> Cells:
    """Return the SHA-256 of what rules make of each value in canonical form."""
    canonical = users.canonical[field]
    if field == "phone" and len(rules) == 1 and rules[0].drops:
        canonical = b"\n".join(canonical).replace(rules[0].drops, b"").split(b"\n")
    elif rules:
        canonical = [text.encode() if text else b"" for text in _changed(users.canonical_texts(field), rules)]
    return [sha256(text).hexdigest() if text else "" for text in canonical]


def _finished(form: Form, frame: Frame, rules: Sequence[Rule], field: str, users: UserColumns) -> Cells:
    """Return the cells of what rules make of values in canonical form, which stands in JSON without escapes."""
    before, after, _ = frame
    canonical = users.canonical_texts(field)
    texts = _changed(canonical, rules)
    if form == "sha256":
        return [text and f"{before}{sha256(text.encode()).hexdigest()}{after}" for text in texts]
    if form == "sha256_base64":
        return [text and frame.around(form_of_hash(sha256_hex(text), form)) for text in texts]
    if texts is canonical and frame == Frame():
        return canonical
    pairs = zip(texts, canonical, strict=True)
    return [text and f"{before}{text if text is known else escaped(text)}{after}" for text, known in pairs]


def _changed(texts: Sequence[str], rules: Iterable[Rule]) -> Sequence[str | None]:
    """Return texts as rules change them, one after the other; what comes to nothing stays so."""
    found: Sequence[str | None] = texts
    for change in (rule.change for rule in rules if rule.change):
        found = [text and change(text) for text in found]
    return found


def _completed(found: Cells, users: UserColumns, field: str, make: Make) -> Cells:
    """Return cells and those of texts without a canonical form; None where nothing is left of a text."""
    cells: list[str | None] = [cell or "" for cell in found]
    given, canonical, countries = users.given[field], users.canonical[field], users.given["country"]
    for index, text in enumerate(given):
        if text and not cells[index]:
            is_other = not canonical[index] and index not in users.deferred and not users.is_over()
            cells[index] = _tried(make, text, countries[index]) if is_other else None
    return cells


def _computed(column: Column, settings: AccountSettings, frame: Frame) -> CellsOf:
    """Return what has a provider's function make the cells, but of no deferred user."""
    value = column.value

    def cell(user: AudienceUser) -> str | None:
        try:
            made = value(user, settings) if value else None
            if isinstance(made, Rejection):
                return None
            return "" if made in NOTHING else frame.around(_json(made, frame))
        except Exception:
            return None

    return lambda users: [
        None if index in users.deferred or users.is_over() else cell(user) for index, user in enumerate(users.users)
    ]


def _json(value: object, frame: Frame) -> str:
    text = _encode(value).decode()
    return text[1:-1] if frame.is_item and isinstance(value, tuple) else text


def _purchases(frame: Frame) -> CellsOf:
    def cell(purchase: Purchase) -> str | None:
        try:
            text = _encode(purchase).decode()
        except UnicodeEncodeError:
            return None
        return "" if text == "{}" else frame.around(text)

    return lambda users: [cell(one) if one else "" for one in users.purchases]


def _amounts(field: str, frame: Frame) -> CellsOf:
    """Return what makes the cells of numbers, encoded all together, as numbers hold no comma."""
    of, (before, after, _) = attrgetter(PURCHASE[field]), frame

    def cells(users: UserColumns) -> Cells:
        amounts = [one and of(one) for one in users.purchases]
        texts = _encode(amounts)[1:-1].decode().split(",")
        pairs = zip(amounts, texts, strict=True)
        return ["" if amount is None else f"{before}{text}{after}" for amount, text in pairs]

    return cells


def _currencies(frame: Frame) -> CellsOf:
    return partial(_of_currencies, Remembered(lambda text: text and frame.around(_encode(text).decode())))


def _of_currencies(known: Remembered, users: UserColumns) -> Cells:
    return known.of((one.currency or "" if one else "" for one in users.purchases), users.is_over)
