"""The template of a removal's rows, derived from an addition's: what says who somebody is and nothing else."""

from collections.abc import Container, Mapping

from providers.kit.rows.columns import (
    Cells,
    Column,
    DeclarationError,
    Part,
    RowTemplate,
    Together,
    column_paths,
    is_list,
)


def removal_template_of(template: RowTemplate) -> RowTemplate:
    """Return a template with only those columns that make a row alone; all that stands around them is kept.

    A name or a postal code makes a row only together with others. So it is left out, as it does not say for certain who
    somebody is. Values and attributes make no row. Raises DeclarationError where no column is left.
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
    """Return a part of a row with only the kept columns, None where it had columns and none of them is kept."""
    columns = [column for _, column in column_paths(part)]
    if not columns or all(column in kept for column in columns):
        return part
    if not any(column in kept for column in columns) or isinstance(part, Together):
        return None
    if isinstance(part, Cells):
        return Cells(*(column for column in part.columns if column in kept))
    if isinstance(part, Mapping):
        return {name: inner for name, old in part.items() if (inner := _kept(old, kept)) is not None}
    return [inner for old in part if (inner := _kept(old, kept)) is not None] if is_list(part) else None
