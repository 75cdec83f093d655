"""The columns of a file as the console's page shows them, and what a person said of them there."""

import re
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b

from audience_client.columns.consent import consent_of
from audience_client.columns.folding import fold
from audience_client.columns.header_names import IDENTIFIERS, SPENT, field_of
from audience_client.columns.mapping import SHOWN, ColumnMapping, MappingOptions
from audience_client.columns.masking import mask
from audience_client.columns.protected import is_protected, looks_personal
from audience_client.columns.resolving import map_columns
from audience_client.command.mapping_shown import counted
from audience_client.errors import AmbiguousColumnsError, MappingError, quoted
from audience_client.files.table import Notice, Table
from console.upload.files import Choices, Column, ColumnChoices, Look

MOST_NOTICED = 12

_HOLDS = {"email": "email addresses", "phone": "phone numbers"}
_OPTIONS = {
    "--only-consented": "\N{LEFT DOUBLE QUOTATION MARK}Only who agreed\N{RIGHT DOUBLE QUOTATION MARK}",
    "--ignore-column": "choosing \N{LEFT DOUBLE QUOTATION MARK}not sent\N{RIGHT DOUBLE QUOTATION MARK}",
    "--encoding": "the encoding",
    "--separator": "the separator",
    "--sheet": "the sheet",
    "which is more than is held at once here": "more than this page holds: upload it by the command audience upload",
}
"""What the page calls what are options of the command."""

_SHEET = re.compile(r'say which: --sheet "[^"]*"')

_MAP = re.compile(r'(?:say which (?:does|is meant): )?--map [\w.]+=("[^"]*"|#?\w+)')


def in_words_of_the_page(message: str) -> str:
    """Return what the client says with the page's fields instead of the command's options."""
    text = _SHEET.sub("write which one where the page asks for the sheet", message)
    text = _MAP.sub("choose its field below", text)
    for option, words in _OPTIONS.items():
        text = text.replace(option, words)
    return text


def mapped(table: Table, choices: Choices) -> ColumnMapping:
    """Map columns as a person chose, or by their headers. Raises MappingError."""
    return map_columns(table.name, table.columns, table.samples, _options(table, choices))


def mapped_look(table: Table, mapping: ColumnMapping) -> Look:
    """Return what is shown of a file that is mapped."""
    fields = {column: str(field) for field, columns in mapping.fields.items() for column in columns}
    return _look(table, fields, tuple(column for columns in mapping.fields.values() for column in columns))


def unmapped_look(table: Table, choices: Choices, error: MappingError) -> Look:
    """Return what is shown of a file of which something has to be asked."""
    chosen = _chosen(table, choices)
    if chosen is not None:
        fields, order = {place: field for place, field in enumerate(chosen.fields) if field}, chosen.order
    else:
        fields, order = _known_by_header(table.columns), ()
    candidates = error.candidates if isinstance(error, AmbiguousColumnsError) else ()
    return _look(table, fields, order, problem=_question(error), candidates=candidates)


def _chosen(table: Table, choices: Choices) -> ColumnChoices | None:
    """Return what was chosen of this very header."""
    columns = choices.columns
    if columns is None or columns.header != header_of(table) or len(columns.fields) != len(table.columns):
        return None
    return columns


def _options(table: Table, choices: Choices) -> MappingOptions:
    chosen = _chosen(table, choices)
    if chosen is None:
        return MappingOptions(only_consented=choices.only_consented)
    places = {column: place for place, column in enumerate(chosen.order)}
    ordered = sorted(range(len(table.columns)), key=lambda column: (places.get(column, len(places)), column))
    return MappingOptions(
        maps=[(chosen.fields[column], f"#{column + 1}") for column in ordered if chosen.fields[column]],
        ignored=[f"#{column + 1}" for column in ordered if _is_left_out(column, table, chosen)],
        only_consented=choices.only_consented,
    )


def _is_left_out(column: int, table: Table, chosen: ColumnChoices) -> bool:
    """Tell whether a column is not to be used; one that says who agreed is never sent anyway."""
    return not chosen.fields[column] and consent_of(column, table.columns[column]) is None


def header_of(table: Table) -> str:
    """Return what is the same only for the same header."""
    return blake2b(repr(table.columns).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _known_by_header(columns: Sequence[str]) -> dict[int, str]:
    """Return the fields that headers stand for, without those that several columns of one header would have."""
    folded = [fold(name) for name in columns]
    found = {place: field for place, name in enumerate(columns) if (field := field_of(name)) and field != "name"}
    return {place: field for place, field in found.items() if field in IDENTIFIERS or folded.count(folded[place]) == 1}


def _look(
    table: Table,
    fields: Mapping[int, str],
    order: tuple[int, ...],
    *,
    problem: str = "",
    candidates: Collection[str] = (),
) -> Look:
    columns = [_column(table, place, fields.get(place, ""), candidates) for place in range(len(table.columns))]
    shape = f"{counted(table.row_count, table.unit)}, {counted(len(table.columns), 'column')}"
    return Look(
        file=table.name,
        summary=f"{table.kind}, {shape}",
        notices=[_notice(one) for one in table.notices],
        columns=columns,
        header=header_of(table),
        order=order,
        has_consent=any(consent_of(place, name) for place, name in enumerate(table.columns)),
        problem=problem,
    )


def _column(table: Table, place: int, field: str, candidates: Collection[str]) -> Column:
    name = table.columns[place]
    values = [row[place] for row in table.samples]
    is_locked = is_protected(name, values)
    filled = list(dict.fromkeys(value for value in values if value.strip()))
    return Column(
        name=quoted(name)[1:-1],
        values=[] if is_locked else [mask(value) for value in filled[:SHOWN]],
        field="" if is_locked else field,
        note=_note(table, place, values, is_locked=is_locked, is_candidate=name in candidates) if not field else "",
        is_protected=is_locked,
    )


def _note(table: Table, place: int, values: Sequence[str], *, is_locked: bool, is_candidate: bool) -> str:
    """Return what there is to know of a column that is not sent."""
    name = table.columns[place]
    if is_locked:
        return "Passwords, keys or cards: never sent"
    if is_candidate:
        return "May be meant"
    if consent_of(place, name):
        return "Says who agreed"
    if field_of(name) == "name":
        return "A full name: it is split if you choose that"
    if fold(name) in SPENT:
        return "Only if it is a customer's profit"
    return "Looks personal" if looks_personal(name, values) else ""


def _question(error: MappingError) -> str:
    if not isinstance(error, AmbiguousColumnsError):
        return in_words_of_the_page(str(error))
    names = ", ".join(map(quoted, error.candidates))
    return f"Which column holds {_HOLDS[error.field]}? By what they hold it may be {names}. Choose its field below."


def _notice(notice: Notice) -> str:
    text = in_words_of_the_page(notice.text)
    examples = ", ".join(map(quoted, notice.examples[:MOST_NOTICED]))
    return f"{text}, such as {examples}" if examples else text
