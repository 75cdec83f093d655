"""From an addition's rows to those that only say who somebody is, which removals are made of."""

from collections.abc import Container, Mapping

from providers.kit.rows.columns import Cells, Column, DeclarationError, Part, RowTemplate, Together, is_list, places_of


def identifying(template: RowTemplate) -> RowTemplate:
    """Return a template of those columns that make a row alone; whatever else stood around them still does.

    A name or a postal code makes a row together with others only, so it is left out: who has nothing else is nobody
    certain. Values and attributes make no row. Raises DeclarationError where no column is left.
    """
    kept = [group[0] for group in template.usable if len(group) == 1 and group[0].is_identifier]
    row = _kept(template.row, kept)
    if row is None:
        raise DeclarationError("removal: no column makes a row alone, so give it a template of its own")
    return RowTemplate(
        row=row,
        usable=[[column] for column in kept],
        rejects=[column for column in template.rejects if column in kept],
        source=template.source,
    )


def _kept(part: Part, kept: Container[Column]) -> Part | None:
    """Return a part of a row without other columns, None where it had columns and has none any more."""
    columns = [column for _, column in places_of(part)]
    if not columns or all(column in kept for column in columns):
        return part
    if not any(column in kept for column in columns) or isinstance(part, Together):
        return None
    if isinstance(part, Cells):
        return Cells(*(column for column in part.columns if column in kept))
    if isinstance(part, Mapping):
        return {name: inner for name, old in part.items() if (inner := _kept(old, kept)) is not None}
    return [inner for old in part if (inner := _kept(old, kept)) is not None] if is_list(part) else None
