"""How a platform's rows look, as data: columns, where they stand in a row's JSON, who makes a row."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard, get_args

from providers.rules import Rule, When
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


class DeclarationError(TypeError):
    """A declaration of rows contradicts itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One value of a row: what the platform calls it, the field it comes from, the steps in between.

    A text that comes to nothing leaves its column empty, and is counted by the `fault` of the step that it did not
    pass, or of the next one that has a fault.

    With `value` a function of the provider's makes it instead, of the user and the account's settings: anything that
    JSON can hold, None for nothing, a tuple for several items of a list, or a Rejection, which rejects the user.
    """

    name: str
    field: str | None
    rules: Sequence[Rule] = ()
    form: Form = "plain"
    hashed: Hashed = "kept"
    value: Callable[[AudienceUser, Any], object] | None = None
    says: str | None = None
    """What `value` does, for pages and previews."""

    source: str | None = None
    """Where the platform says so; None: where it says so for all columns of the row."""

    is_identifier: bool = True
    """Whether the platform may know somebody by it."""

    is_attribute: bool = False
    """Whether membership does not need it, so that bare rows lack it."""

    when: When | None = None
    """The setting that switches the column on."""

    def __post_init__(self) -> None:
        if self.field is not None and self.field not in FIELDS and self.field not in PURCHASE:
            raise DeclarationError(f"{self.name}: users have no field {self.field}")
        if self.form not in get_args(Form) or self.hashed not in get_args(Hashed):
            raise DeclarationError(
                f"{self.name}: form is one of {', '.join(get_args(Form))}, hashed one of {', '.join(get_args(Hashed))}"
            )
        if self.value is not None and (self.rules or self.form != "plain" or self.says is None):
            raise DeclarationError(f"{self.name}: a function makes the whole value; say in `says` what it does")
        if self.field not in TEXTS and self.is_text:
            raise DeclarationError(f"{self.name}: rules and hashes are for texts, {self.field} is none")
        if self.field is None and self.value is None:
            raise DeclarationError(f"{self.name}: name the field that it comes from, or a function that makes it")

    @property
    def is_text(self) -> bool:
        """Whether steps make it, one of which may leave nothing of a text."""
        return self.value is None and bool(self.rules or self.form != "plain" or self.hashed == "refused")


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
"""A place in a row's JSON.

A mapping is an object without the members that are empty; a list has no empty items; either is empty itself where all
of its columns are, whatever else it holds. Texts and numbers stand for themselves. A column alone is a row of one
value.
"""


def members(*columns: Column) -> dict[str, Column]:
    """Return an object's members by the columns' own names."""
    return {column.name: column for column in columns}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RowTemplate:
    """How a platform's rows are made, for one interpreter (`providers.interpreter`).

    `usable` are groups of columns: a user makes a row who has all of any one group. Who does not is rejected for the
    first of the fields in `rejects` that was given at all, by the word of the step that it did not pass, else as
    `no_identifier`. `source` is where the platform says what it wants, for columns that name no place of their own.
    """

    row: Part
    usable: Sequence[Sequence[Column]]
    rejects: Sequence[Column]
    source: str

    def __post_init__(self) -> None:
        columns = [column for _, column in self.places]
        if len({column.name for column in columns}) < len({id(column) for column in columns}):
            names = Counter(column.name for column in dict.fromkeys(columns))
            twice = next(name for name, count in names.items() if count > 1)
            raise DeclarationError(f"two columns have the same name: {twice}")
        if missing := [
            column.name for group in (*self.usable, self.rejects) for column in group if column not in columns
        ]:
            raise DeclarationError(f"no part of the row: {', '.join(missing)}")
        if not self.usable or not all(self.usable):
            raise DeclarationError("usable: name at least one column that makes a row")
        for column in self.rejects:
            if column.hashed != "refused" and not any(rule.fault for rule in column.rules):
                raise DeclarationError(f"{column.name}: no rule says why it would be rejected")

    @property
    def places(self) -> Iterator[tuple[str, Column]]:
        """The columns in the order in which they stand in a row, each with the members that lead there."""
        return places_of(self.row)

    @property
    def settings(self) -> Iterator[tuple[Column, str]]:
        """The settings that switch columns, or steps of them, each with its column."""
        for _, column in self.places:
            yield from ((column, when.setting) for when in (column.when, *(rule.when for rule in column.rules)) if when)

    @property
    def wholes(self) -> Iterator[Sequence[Column]]:
        """The columns of each part that stands there whole or not at all."""
        return _wholes_of(self.row)


def _wholes_of(part: Part) -> Iterator[Sequence[Column]]:
    if isinstance(part, Together):
        yield [column for _, column in places_of(part.part)]
    elif isinstance(part, Mapping) or is_list(part):
        for inner in part.values() if isinstance(part, Mapping) else part:
            yield from _wholes_of(inner)


def places_of(part: Part, path: str = "") -> Iterator[tuple[str, Column]]:
    """Yield the columns of a part of a row, each with the members that lead there."""
    if isinstance(part, Column):
        yield path, part
    elif isinstance(part, Together):
        yield from places_of(part.part, path)
    elif isinstance(part, Mapping):
        for name, inner in part.items():
            yield from places_of(inner, f"{path}/{name}")
    elif isinstance(part, Cells) or is_list(part):
        for inner in part.columns if isinstance(part, Cells) else part:
            yield from places_of(inner, path)


def is_list(part: Part) -> TypeGuard[Sequence[Any]]:
    """Tell whether a part is a list, which texts are not."""
    return isinstance(part, Sequence) and not isinstance(part, str)
