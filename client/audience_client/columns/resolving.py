"""How columns find their fields: by what a caller says, else by the table of header names."""

import difflib
from collections import Counter
from collections.abc import Collection, Sequence
from typing import get_args

from audience_client.columns.consent import STATED, Consent, consent_of, stated_consent
from audience_client.columns.continuation import continuation_of
from audience_client.columns.folding import fold, name_set, words
from audience_client.columns.header_names import IDENTIFIERS, PARTNERED, SPENT, Field, is_known, ranked_field_of
from audience_client.columns.mapping import ColumnMapping, MappingOptions
from audience_client.columns.protected import ADDRESS, PHONE, is_protected, looks_personal, mostly
from audience_client.errors import AmbiguousColumnsError, MappingError, option, quoted

FIELDS: tuple[Field, ...] = get_args(Field)
_PREFIX = "purchase."
_SIGNS = {
    "email": (ADDRESS, name_set("email emails mail mails")),
    "phone": (PHONE, name_set("phone mobile telephone tel")),
}


def map_columns(
    file: str, columns: Sequence[str], samples: Sequence[Sequence[str]], options: MappingOptions
) -> ColumnMapping:
    """Map columns to fields. Raises MappingError where that can't be done, or is not certain enough."""
    resolver = _Resolver(file, columns, samples, options)
    fields = resolver.fields()
    consents = resolver.consents() if resolver.only_consented else ()
    return ColumnMapping(
        columns=tuple(columns),
        fields=fields,
        consents=consents,
        only_consented=resolver.only_consented,
        notices=tuple(resolver.notices(fields)),
        unmapped_personal=tuple(resolver.unmapped_personal(fields)),
        samples=tuple(samples),
    )


class _Resolver:
    """One file's columns, and what is said of them."""

    def __init__(
        self, file: str, columns: Sequence[str], samples: Sequence[Sequence[str]], options: MappingOptions
    ) -> None:
        self.file = file
        self.columns = columns
        self.samples = samples
        self.folded = [fold(name) for name in columns]
        self.only_consented = options.only_consented or bool(options.consents)
        self.ignored = {place for name in options.ignored for place in self._columns_called("--ignore-column", name)}
        self.stated = self._stated(options.maps)
        self.stated_consents = self._stated_consents(options.consents)
        self.protected = {place for place, name in enumerate(columns) if is_protected(name, self._values(place))}

    def fields(self) -> dict[Field, tuple[int, ...]]:
        """Return the columns of each field, the preferred first."""
        found = {field: self.stated.get(field) or self._by_name(field) for field in FIELDS}
        if "name" not in self.stated:
            del found["name"]
        if not found["purchase.profit"] and not found["purchase.total7Days"] and "purchase.currency" not in self.stated:
            del found["purchase.currency"]
        fields = {field: columns for field, columns in found.items() if columns}
        self._check(fields)
        return fields

    def consents(self) -> tuple[Consent, ...]:
        """Return the columns of consent, those that are known besides those that are named.

        Raises MappingError where there is none.
        """
        stated = {consent.column for consent in self.stated_consents}
        used = [
            consent
            for place, name in enumerate(self.columns)
            if place not in self.ignored | stated and (consent := consent_of(place, name))
        ]
        if not used and not stated:
            problem = "no column of consent is known, such as Accepts Email Marketing or Newsletter"
            way = f"name one: --consent {quoted('COLUMN')}, or leave --only-consented out"
            raise MappingError(f"{self.file}: {problem}; {way}")
        return tuple(sorted((*self.stated_consents, *used), key=lambda consent: consent.column))

    def notices(self, fields: dict[Field, tuple[int, ...]]) -> list[str]:
        """Say what there is in the file that somebody may want to be used."""
        mapped = {column for columns in fields.values() for column in columns}
        free = [place for place in range(len(self.columns)) if place not in mapped | self.ignored]
        return [
            *self._of_full_names(free, fields),
            *self._of_money(free, fields),
            *self._of_consent(free),
            *self._of_protected(free),
        ]

    def unmapped_personal(self, fields: dict[Field, tuple[int, ...]]) -> list[str]:
        """Name the columns that look like personal data and are not uploaded, nor told of otherwise."""
        mapped = {column for columns in fields.values() for column in columns}
        free = [place for place in range(len(self.columns)) if place not in mapped | self.ignored]
        told = {*self.protected, *self._full_names(free, fields), *self._of_consents()}
        return [
            self.columns[place]
            for place in free
            if place not in told and looks_personal(self.columns[place], self._values(place))
        ]

    def _stated(self, maps: Sequence[tuple[str, str]]) -> dict[Field, tuple[int, ...]]:
        stated: dict[Field, tuple[int, ...]] = {}
        for name, column in maps:
            field = self._field(name)
            place = self._column_called(f"--map {field}", column)
            if is_protected(self.columns[place], self._values(place)):
                problem = "is of passwords, keys or cards, which are never sent; map another one"
                raise MappingError(f"{self.file}: the column {quoted(self.columns[place])} {problem}")
            if place in self.ignored:
                raise MappingError(f"{self.file}: the column {quoted(self.columns[place])} is both mapped and ignored")
            stated[field] = (*stated.get(field, ()), place)
        twice = [place for place, count in Counter(sum(stated.values(), ())).items() if count > 1]
        if twice:
            raise MappingError(f"{self.file}: the column {quoted(self.columns[twice[0]])} is mapped twice; map it once")
        return stated

    def _stated_consents(self, stated: Sequence[tuple[str, str]]) -> tuple[Consent, ...]:
        found: dict[int, Consent] = {}
        for kind, name in stated:
            place = self._column_called("--consent", self._without_unknown_kind(name))
            consent = stated_consent(place, kind)
            if consent is None:
                raise _unknown_kind(kind)
            if place in self.ignored:
                raise MappingError(f"{self.file}: the column {quoted(self.columns[place])} is of consent and ignored")
            if place in found:
                raise MappingError(
                    f"{self.file}: the column {quoted(self.columns[place])} is of consent twice; name it once"
                )
            found[place] = consent
        return tuple(found.values())

    def _without_unknown_kind(self, name: str) -> str:
        """Return a column's name. Raises MappingError where it is one behind a kind of consent that there is not."""
        kind, _, column = name.partition("=")
        if not self._matching_columns(name) and self._matching_columns(column):
            raise _unknown_kind(kind.strip())
        return name

    def _field(self, name: str) -> Field:
        for field in FIELDS:
            if fold(name) in (fold(field), fold(field.removeprefix(_PREFIX))):
                return field
        raise MappingError(f"--map: {quoted(name)} is no field; there are {', '.join(FIELDS)}")

    def _column_called(self, option: str, name: str) -> int:
        """Return the one column of a name. Raises MappingError where there is none, or several."""
        columns = self._columns_called(option, name)
        if len(columns) > 1:
            numbers = " or ".join(f"#{place + 1}" for place in columns)
            raise MappingError(f"{self.file}: {len(columns)} columns are called {quoted(name)}; say {numbers} instead")
        return columns[0]

    def _matching_columns(self, name: str) -> list[int]:
        """Return the columns of a name, or by their number."""
        if name.startswith("#") and name[1:].isdecimal() and 0 < int(name[1:]) <= len(self.columns):
            return [int(name[1:]) - 1]
        exact = [place for place, column in enumerate(self.columns) if column == name.strip()]
        return exact or [place for place, folded in enumerate(self.folded) if folded == fold(name) != ""]

    def _columns_called(self, option: str, name: str) -> list[int]:
        found = self._matching_columns(name)
        if not found:
            near = difflib.get_close_matches(name, self.columns, n=1, cutoff=0.5)
            meant = f"; is {quoted(near[0])} meant?" if near else f"; there are {_listed(self.columns)}"
            raise MappingError(f"{self.file}: {option}: there is no column {quoted(name)}{meant}")
        return found

    def _by_name(self, field: Field) -> tuple[int, ...]:
        taken = self.ignored | self.protected | {place for columns in self.stated.values() for place in columns}
        taken |= {consent.column for consent in self.stated_consents}
        ranked = []
        for place, name in enumerate(self.columns):
            found = self._ranked(place, name) if place not in taken else None
            if found is not None and found[0] == field:
                ranked.append((found[1], place))
        return tuple(place for _, place in sorted(ranked))

    def _ranked(self, place: int, name: str) -> tuple[Field, tuple[int, int]] | None:
        folded = self.folded[place]
        if folded in PARTNERED:
            field, partners = PARTNERED[folded]
            return (field, (0, 0)) if partners & set(self.folded) else ("name", (0, 0))
        return ranked_field_of(name)

    def _check(self, fields: dict[Field, tuple[int, ...]]) -> None:
        """Raise MappingError where fields would be mixed from several people, or there is nothing to know people by."""
        for field, columns in fields.items():
            names = [self.folded[column] for column in columns]
            twice = next((column for column, name in zip(columns, names, strict=True) if names.count(name) > 1), None)
            if twice is not None and field not in (*IDENTIFIERS, *self.stated):
                self._raise_duplicated(field, twice)
        if not fields.keys() & set(IDENTIFIERS):
            self._raise_without_identifier()

    def _raise_duplicated(self, field: Field, column: int) -> None:
        numbers = [place + 1 for place, name in enumerate(self.folded) if name == self.folded[column]]
        listed = ", ".join(map(str, numbers))
        raise MappingError(
            f"{self.file}, row 1: the columns {listed} have the same header {quoted(self.columns[column])}; "
            f"say which is meant: --map {field}=#{numbers[0]}, or rename one"
        )

    def _raise_without_identifier(self) -> None:
        for field in ("email", "phone"):
            if candidates := self._candidates(field):
                raise AmbiguousColumnsError(self.file, field, [self.columns[place] for place in candidates])
        are_names = any(map(is_known, self.columns))  # else the row may be of somebody
        known = f"the columns are {_listed(self.columns)}" if are_names else "none of the headers is known"
        one = " (one column: say --separator if there are more)" if len(self.columns) == 1 else ""
        raise MappingError(
            f"{self.file}, row 1: no column is known to hold e-mail addresses or phone numbers{one}; {known}; "
            f"say which does: {option('email', 'COLUMN')}"
        )

    def _candidates(self, field: str) -> list[int]:
        pattern, signs = _SIGNS[field]
        free = [place for place in range(len(self.columns)) if place not in self.ignored | self.protected]
        by_value = [place for place in free if mostly(pattern, self._values(place))]
        named = [place for place in by_value if words(self.columns[place]) & signs]
        return named or by_value

    def _values(self, place: int) -> list[str]:
        return [row[place] for row in self.samples]

    def _of_full_names(self, free: Collection[int], fields: dict[Field, tuple[int, ...]]) -> list[str]:
        names = [self.columns[place] for place in self._full_names(free, fields)]
        return [f"{quoted(name)} holds full names, not split unless you say {option('name', name)}" for name in names]

    def _full_names(self, free: Collection[int], fields: dict[Field, tuple[int, ...]]) -> list[int]:
        """Return the first column of full names, if any, where it is of use."""
        if "lastName" in fields or continuation_of(self.columns) is not None:  # the name of an order is its number
            return []
        found = [
            place for place in free if (ranked := self._ranked(place, self.columns[place])) and ranked[0] == "name"
        ]
        return found[:1]

    def _of_consents(self) -> list[int]:
        stated = [consent.column for consent in self.stated_consents]
        return [*stated, *(place for place, name in enumerate(self.columns) if consent_of(place, name))]

    def _of_money(self, free: Collection[int], fields: dict[Field, tuple[int, ...]]) -> list[str]:
        if "purchase.profit" in fields:
            return []
        found = [place for place in free if self.folded[place] in SPENT]
        return [
            f"{quoted(self.columns[place])} is not sent: "
            f"{option('purchase.profit', self.columns[place])} if it is a customer's profit"
            for place in found[:1]
        ]

    def _of_consent(self, free: Collection[int]) -> list[str]:
        found = [self.columns[place] for place in free if consent_of(place, self.columns[place])]
        if self.only_consented or not found:
            return []
        return [f"consent was not looked at: {_listed(found)}; --only-consented leaves out who did not agree"]

    def _of_protected(self, free: Collection[int]) -> list[str]:
        found = [self.columns[place] for place in free if place in self.protected]
        return [f"never sent, as they hold passwords, keys or cards: {_listed(found)}"] if found else []


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(quoted(name) for name in names[:12])
    return f"{shown} and {len(names) - 12} more" if len(names) > 12 else shown


def _unknown_kind(kind: str) -> MappingError:
    return MappingError(f"--consent: {quoted(kind)} is nothing that a column tells; there are {STATED}")
