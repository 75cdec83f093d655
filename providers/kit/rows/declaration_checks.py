"""What a provider's class must keep to for its declaration of rows to hold, checked when it is loaded."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError

from providers.kit.rows.columns import Column, DeclarationError, RowTemplate
from providers.kit.rows.rules import When
from providers.kit.settings import AccountSettings
from schemas.did_you_mean import did_you_mean


def check_settings(template: RowTemplate, kind: type[AccountSettings]) -> None:
    """Raise DeclarationError where a setting that switches something on is none, or can't have the value."""
    for _, column in template.column_paths:
        for when in _switches(column):
            if fault := _fault_of(when, kind):
                raise DeclarationError(f"{column.name}: {fault}")


def _switches(column: Column) -> Iterator[When]:
    yield from (when for when in (column.when, *(rule.when for rule in column.rules)) if when)


def _fault_of(when: When, kind: type[AccountSettings]) -> str | None:
    known = kind.model_fields
    if when.setting not in known:
        return f"there is no setting {when.setting}{did_you_mean([when.setting], known)}"
    if when.value is None or _may_be(when.value, known[when.setting].rebuild_annotation()):
        return None
    return f"the setting {when.setting} is never {when.value!r}"


def _may_be(value: object, annotation: Any) -> bool:
    """Tell whether a value is one that a setting has when it is read, as `true` is none of a switch."""
    try:
        return bool(TypeAdapter(annotation).validate_python(value) == value)
    except ValidationError:
        return False


def check_without_attributes(template: RowTemplate) -> None:
    """Raise DeclarationError where bare rows lack columns, which the template can't see to if others make rows."""
    attributes = [column.name for _, column in template.column_paths if column.is_attribute]
    if attributes:
        raise DeclarationError(
            f"{', '.join(attributes)}: replays leave out attributes, but `row` is by hand; write `bare_row`, too"
        )
