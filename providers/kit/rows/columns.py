"""How a platform's rows look, as data: columns, their positions in a row's JSON, and which users make a row."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, get_args

from providers.kit.rows.rules import Rule, When
from schemas.did_you_mean import did_you_mean
from schemas.records import AudienceUser, Purchase

Form = Literal["plain", "sha256", "sha256_base64"]
"""What goes out of a value: itself, the SHA-256 in lower-case hexadecimal digits, or its 32 bytes in base64."""

Hashed = Literal["kept", "refused", "text"]
"""What becomes of a value that is a SHA-256 already: it goes as it is, does not go, or is a text like any other."""

FIELDS: Mapping[str, str] = dict(
    zip(AudienceUser.__struct_encode_fields__, AudienceUser.__struct_fields__, strict=True)
)
"""A user's fields as they are uploaded, and our attributes."""

PURCHASE: Mapping[str, str] = {
    f"purchase.{name}": attribute
    for name, attribute in zip(Purchase.__struct_encode_fields__, Purchase.__struct_fields__, strict=True)
}

TEXTS = tuple(name for name in FIELDS if name != "purchase")

REPEATED = frozenset({"firstName", "lastName", "country", "postalCode"})
"""Fields whose values many users have."""


class DeclarationError(TypeError):
    """A declaration of rows contradicts itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One value of a row: what the platform calls it, the field it comes from, the steps in between.

    A text that comes to nothing leaves its column empty, and is counted by the `fault` of the step that it did not
    pass, or of the next one that has a fault.

    With `value` a function of the provider's makes it instead, of the user and the account's settings: anything that
    JSON can hold, None for nothing, a tuple for several items of a list, or a Rejection, which rejects the user. `form`
    is then the form of what it returns.
    """

    name: str
    field: str | None
    rules: Sequence[Rule] = ()
    form: Form = "plain"
    hashed: Hashed = "kept"
    value: Callable[[AudienceUser, Any], object] | None = None
    says: str | None = None
    """What `value` does, for pages and previews."""

    reads: Sequence[str] = ()
    """The fields that `value` looks at besides `field`."""

    source: str | None = None
    """Where the platform says so; None: where it says so for all columns of the row."""

    is_identifier: bool = True
    """Whether the platform may know somebody by it."""

    is_attribute: bool = False
    """Whether membership does not need it, so that bare rows lack it; an attribute is no identifier."""

    when: When | None = None
    """The setting that switches the column on."""

    def __post_init__(self) -> None:
        if fault := next(_column_faults(self), None):
            raise DeclarationError(f"{self.name}: {fault}")

    @property
    def fields(self) -> Sequence[str]:
        """All fields that it is made of."""
        return tuple(dict.fromkeys([*([self.field] if self.field else []), *self.reads]))

    @property
    def is_text(self) -> bool:
        """Whether steps make it, one of which may leave nothing of a text."""
        return self.value is None and bool(self.rules or self.form != "plain" or self.hashed == "refused")


def _column_faults(column: Column) -> Iterator[str]:
    """Yield what is wrong with a declaration; a later fault is told only where none came before."""
    known = (*FIELDS, *PURCHASE)
    for field in (field for field in column.fields if field not in known):
        yield f"users have no field {field}{did_you_mean([field], known)}"
    if isinstance(column.rules, Rule) or not all(isinstance(rule, Rule) for rule in column.rules):
        yield "rules: write a list of rules, such as [TRIM]; a tuple of one needs a comma"
    if column.form not in get_args(Form) or column.hashed not in get_args(Hashed):
        yield f"form is one of {', '.join(get_args(Form))}, hashed one of {', '.join(get_args(Hashed))}"
    if column.source is not None and not column.source.strip():
        yield "source: name the place where the platform says so, or none"
    if column.is_attribute and column.is_identifier:
        yield "an attribute is no identifier, as bare rows lack it: write is_identifier=False, too"
    yield from _faults_of_value(column) if column.value is not None else _faults_of_field(column)


def _faults_of_value(column: Column) -> Iterator[str]:
    if column.rules or column.says is None:
        yield "a function makes the whole value; say in `says` what it does"


def _faults_of_field(column: Column) -> Iterator[str]:
    if column.reads:
        yield "reads: only a function reads fields besides its own"
    if column.field is None:
        yield "name the field that it comes from, or a function that makes it"
    if column.field not in TEXTS and column.is_text:
        yield f"rules and hashes are for texts, {column.field} is none"


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A row by position: every column has its cell, an empty one holds an empty text."""

    columns: tuple[Column, ...]

    def __init__(self, *columns: Column) -> None:
        object.__setattr__(self, "columns", columns)


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """A part of a row that stands there whole or not at all, such as an address of which a half matches nobody."""

    part: "Part"


Part = Column | Cells | Together | Mapping[str, Any] | Sequence[Any] | str | int | bool
"""A part of a row's JSON.

A mapping is an object without the members that are empty; a list has no empty items; either is empty itself where all
of its columns are, whatever else it holds. Texts and numbers stand for themselves. A column alone is a row of one
value.
"""


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def members(*columns: Column) -> dict[str, Column]:
    """Return an object's members by the columns' own names."""
    if twice := _twice(column.name for column in columns):
        raise DeclarationError(f"members: two columns have the name {', '.join(twice)}, one would be lost")
    return {column.name: column for column in columns}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowTemplate:
    """How a platform's rows are made, for one interpreter (`providers.kit.rows.template_interpreter`).

    `usable` are groups of columns: a user makes a row who has all of any one group. Who does not is rejected for the
    first of the fields in `rejects` that was given at all, by the word of the step that it did not pass, else as
    `no_identifier`. `source` is where the platform says what it wants, for columns that name no place of their own.
    """

    row: Part
    usable: Sequence[Sequence[Column]]
    rejects: Sequence[Column]
    source: str

    def __post_init__(self) -> None:
        if fault := next(_template_faults(self), None):
            raise DeclarationError(fault)

    @property
    def column_paths(self) -> Iterator[tuple[str, Column]]:
        """The columns in the order in which they stand in a row, each with its path, such as `/attributes/email`."""
        return column_paths(self.row)

    @property
    def wholes(self) -> Iterator[Sequence[Column]]:
        """The columns that go together or not at all."""
        return _wholes(self.row)


def _template_faults(template: RowTemplate) -> Iterator[str]:
    """Yield what is wrong with a declaration; a later fault is told only where none came before."""
    columns = [column for _, column in template.column_paths]
    if twice := [column.name for column, count in Counter(columns).items() if count > 1]:
        yield f"{', '.join(twice)}: the same column stands twice in the row; declare one for each place"
    if twice := _twice(column.name for column in columns):
        yield f"two columns have the same name: {', '.join(twice)}"
    if not template.source.strip():
        yield "source: name the place where the platform says what it wants"
    if isinstance(template.usable, Column) or any(isinstance(group, Column) for group in template.usable):
        yield "usable: write groups of columns, such as [[EMAIL], [FIRST_NAME, LAST_NAME]]"
    if isinstance(template.rejects, Column):
        yield "rejects: write a list of columns, such as [EMAIL]"
    named = [column for group in (*template.usable, template.rejects) for column in group]
    if missing := [column.name for column in named if column not in columns]:
        yield f"no part of the row: {', '.join(missing)}"
    if not template.usable or not all(template.usable):
        yield "usable: name at least one column that makes a row"
    yield from _faults_of_use(template)


def _faults_of_use(template: RowTemplate) -> Iterator[str]:
    for column in (column for group in template.usable for column in group if column.is_attribute):
        yield f"{column.name}: bare rows lack attributes, so one can't make a row usable"
    for column in template.rejects:
        if column.hashed != "refused" and not any(rule.fault for rule in column.rules):
            yield f"{column.name}: no rule says why it would be rejected"
    for whole in template.wholes:
        if len({column.is_attribute for column in whole}) > 1:
            yield f"{whole[0].name}: bare rows would lack all that goes together with an attribute"


def column_paths(part: Part, path: str = "") -> Iterator[tuple[str, Column]]:
    """Yield the columns of a part of a row, each with its path: the members that lead there."""
    if isinstance(part, Column):
        yield path, part
    elif isinstance(part, Together):
        yield from column_paths(part.part, path)
    elif isinstance(part, Mapping):
        for name, inner in part.items():
            yield from column_paths(inner, f"{path}/{name}")
    elif isinstance(part, Cells) or is_list(part):
        for inner in part.columns if isinstance(part, Cells) else part:
            yield from column_paths(inner, path)


def _wholes(part: Part) -> Iterator[Sequence[Column]]:
    if isinstance(part, Together):
        yield [column for _, column in column_paths(part)]
        yield from _wholes(part.part)
    elif isinstance(part, Mapping) or is_list(part):
        for inner in part.values() if isinstance(part, Mapping) else part:
            yield from _wholes(inner)


def is_list(part: Part) -> TypeGuard[Sequence[Any]]:
    """Tell whether a part is a list, which texts are not."""
    return isinstance(part, Sequence) and not isinstance(part, str)
