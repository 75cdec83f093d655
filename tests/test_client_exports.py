"""Exports as they come are read and mapped without an option, and exactly."""

from pathlib import Path

import msgspec
import pytest
from exports import EXPORTS, PEOPLE, Export

from audience_client.columns.mapping import MappingOptions
from audience_client.columns.resolving import map_columns
from audience_client.files.reading import read_table
from audience_client.users.user_reader import UserReader


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_an_export_becomes_exactly_its_people_without_an_option(export: Export, tmp_path: Path) -> None:
    path = tmp_path / f"customers{export.suffix}"
    export.write(export, path)
    table = read_table(path)
    mapping = map_columns(table.name, table.columns, table.samples, MappingOptions())
    reader = UserReader(table, mapping)
    counted = reader.count()
    batches = list(reader.batches(2))
    assert [user for batch in batches for user in msgspec.json.decode(batch.users)] == export.users()
    assert counted.users == len(PEOPLE) == sum(len(batch.rows) for batch in batches)
    table.close()


def test_there_are_twenty_kinds_and_more() -> None:
    assert len({export.name for export in EXPORTS}) >= 20


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_what_is_shown_of_a_mapping_tells_nobody_s_values(export: Export, tmp_path: Path) -> None:
    path = tmp_path / f"customers{export.suffix}"
    export.write(export, path)
    table = read_table(path)
    mapping = map_columns(table.name, table.columns, table.samples, MappingOptions())
    told = f"{mapping.shown()} {mapping.notices} {mapping.unmapped_personal} {mapping!r}"
    values = {
        value
        for person in PEOPLE
        for value in (person.email, person.phone, person.first, person.last, person.postal_code)
    }
    assert {column.field for column in mapping.shown()} == set(export.fields)
    assert all(len(column.values) <= 3 for column in mapping.shown())
    assert [value for value in values if value in told] == []
    table.close()
