"""Which columns of a file become which fields of a user, and what is told of the others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from audience_client.columns.consent import Consent
from audience_client.columns.header_names import Field
from audience_client.columns.masking import mask

SHOWN = 3
"""Values of a column that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingOptions:
    """What a caller says of columns: `maps` holds pairs of a field and a column's name, `#4` for the fourth.

    `consents` holds pairs of what a column of consent tells (`yes`, `no`, `yes-at`, `no-at`, each also of one channel,
    as `email-yes`) and its name. Columns of consent are looked at where any is named, or by `only_consented`.
    """

    maps: Sequence[tuple[str, str]] = ()
    ignored: Sequence[str] = ()
    only_consented: bool = False
    consents: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownColumn:
    """One line of a mapping as it is shown before anything is sent, with masked values.

    `field` is what a user gets of the column, or in words what it tells of consent.
    """

    field: str
    column: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMapping:
    """Fields and their columns, the preferred first; a user takes the first that is filled."""

    columns: tuple[str, ...]
    fields: Mapping[Field, tuple[int, ...]]
    consents: tuple[Consent, ...] = ()
    only_consented: bool = False
    notices: tuple[str, ...] = ()
    unmapped_personal: tuple[str, ...] = ()
    samples: tuple[Sequence[str], ...] = field(default=(), repr=False)

    def shown(self) -> list[ShownColumn]:
        """Return what there is to look over: each field, its columns and some of their values, masked; then consent."""
        fields = [(field, column) for field, columns in self.fields.items() for column in columns]
        consents = [(consent.label, consent.column) for consent in self.consents]
        return [
            ShownColumn(field=field, column=self.columns[column], values=_shown_values(self.samples, column))
            for field, column in (*fields, *consents)
        ]


def _shown_values(samples: Sequence[Sequence[str]], column: int) -> tuple[str, ...]:
    filled = dict.fromkeys(row[column] for row in samples if row[column].strip())
    return tuple(mask(value) for value in list(filled)[:SHOWN])
