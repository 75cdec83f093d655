"""A file that can't be read ends with a sentence: which file, which row, what to do, and no value of a customer."""

import gzip
import io
import json
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pyarrow as arrow
import pytest
from pyarrow import parquet

from audience_client.columns.mapping import MappingOptions
from audience_client.columns.resolving import map_columns
from audience_client.errors import AmbiguousColumnsError, FileError, InputError
from audience_client.files.options import ReadOptions
from audience_client.files.reading import read_table
from audience_client.users.user_reader import UserReader

SECRETS = ("ada", "lovelace", "14155550100", "alan")
"""Values of the files here, none of which is ever told."""

TWO = "email,phone\nada@example.com,+14155550100\nalan@example.com,\n"


def read(path: Path, read_options: ReadOptions | None = None, options: MappingOptions | None = None) -> None:
    """Do all that comes before anything is sent."""
    table = read_table(path, read_options)
    try:
        mapping = map_columns(table.name, table.columns, table.samples, options or MappingOptions())
        UserReader(table, mapping).count()
    finally:
        table.close()


def problem_of(path: Path, read_options: ReadOptions | None = None, options: MappingOptions | None = None) -> str:
    """Return the sentence that a file ends with; it names the file and repeats nothing of it."""
    with pytest.raises(InputError) as caught:
        read(path, read_options, options)
    message = str(caught.value)
    assert str(path) in message
    assert [value for value in SECRETS if value in message.replace(str(path), "").lower()] == []
    assert "; " in message, "it says what to do"
    return message.replace(str(path), "FILE")


def written(folder: Path, content: str | bytes, name: str = "customers.csv") -> Path:
    """Write a file as it is, and return where."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def workbook(folder: Path, rows: Sequence[Sequence[object]], name: str = "customers.xlsx") -> Path:
    """Write a workbook of one sheet, and return where."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / name)
    return folder / name


CASES: dict[str, tuple[str | bytes, str]] = {
    "html saved as csv": ("<!DOCTYPE html>\n<html><body>Login, ada</body></html>", "FILE: is HTML or XML"),
    "a table of html": ("\ufeff  <table><tr><td>ada</td></tr></table>", "FILE: is HTML or XML"),
    "a binary workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "FILE: is a binary Excel file (.xls)"),
    "nothing": (b"", "FILE: is empty"),
    "a byte order mark": (b"\xef\xbb\xbf\n", "FILE: is empty"),
    "blank lines": ("\n\n,,\n", "FILE: is empty"),
    "a header alone": ("email,phone\n", "FILE, row 1: is a header and no customer stands below it"),
    "a header and blank rows": ("email,phone\n,\n\n", "FILE, row 1: is a header and no customer stands below it"),
    "no header": ("ada@example.com,+14155550100\nalan@example.com,\n", "FILE, row 1: is a customer, not a header"),
    "one column without a header": ("ada@example.com\nalan@example.com\n", "FILE, row 1: is a customer, not a header"),
    "one column of something": ("Anything\nada\nalan\n", "one column: say --separator"),
    "an unknown separator": ("email~phone\nada@example.com~+14155550100\n", "one column: say --separator"),
    "two header rows": (
        "Email,Phone\nemail_address,phone_number\nada@example.com,1\n",
        "FILE, row 2: is a second header",
    ),
    "a title above": ("Customers,\nemail,phone\nada@example.com,1\n", "FILE, row 2: seems to be the header"),
    "a title and a blank row above": (
        "Customers,\n,\nemail,phone\nada@example.com,1\n",
        "FILE, row 3: seems to be the header; delete what stands above it (row 1 to 2)",
    ),
    "blanks before quotes": (
        '"email", "name"\n"ada@example.com", "Ada"\n',
        "FILE, row 1: has blanks before quotes, which then are part of the cell",
    ),
    "joined files": (TWO * 2, "FILE, row 4: repeats the header"),
    "300 columns": (
        ",".join(["email", *(f"c{n}" for n in range(299))]) + "\n" + "," * 299 + "\n",
        "FILE, row 1: has 300 columns",
    ),
    "a header with another separator": ("email;phone\nada@example.com,1\nalan@example.com,2\n", "by a semicolon"),
    "a header with a separator that no row has": (
        "email;phone\nada@example.com\nalan@example.com\n",
        "FILE, row 1: cells are separated by a semicolon, and no other row has one",
    ),
    "another separator later": (
        TWO + "x@example.com;1\n",
        "FILE, row 4: cells are separated by a semicolon, in other rows",
    ),
    "too many cells": (TWO + "ada@example.com,1,Lovelace\n", "FILE, row 4: has 3 cells and the header 2"),
    "too few cells": ("name,email,phone\nAda,ada@example.com,1\nAlan\n", "FILE, row 3: has cells for 1 of 3 columns"),
    "an unclosed quote at the end": ('email,phone\nada@example.com,"1\n', "FILE, row 2: a quote opens a cell"),
    "an unclosed quote": ('email,phone\n"ada@example.com,1\nalan@example.com,"2"\n', "FILE, row 2: text stands behind"),
    "quotes within": ('email,name\nada@example.com,"Ada "A" Lovelace"\n', "FILE, row 2: text stands behind a quote"),
    "duplicated headers": (
        "email,zip,zip\nada@example.com,1,2\n",
        'FILE, row 1: the columns 2, 3 have the same header "zip"',
    ),
    "nobody to know": ("a,b\n1,2\n", "FILE, row 1: no column is known to hold"),
    "text that is neither": (
        b"email,name\nada@example.com,\x81\x8d\n",
        "FILE, line 2: is neither UTF-8 nor Windows-1252",
    ),
    "two encodings": (
        "email,name\nada@example.com,Jörg\n".encode() + b"alan@example.com,Br\xfbl\xe9\n",
        "FILE, line 3: is not UTF-8",
    ),
    "a pdf": (b"%PDF-1.7\n", "FILE: is a PDF"),
    "bzip2": (b"BZh91AY", "FILE: is compressed as bzip2"),
    "zeros": (b"\x01\x00\x00\x02\x00\x00" * 50, "FILE: is no text"),
    "a cut gzip": (gzip.compress(TWO.encode() * 900)[:-12], "FILE: is cut off or damaged"),
    "gzip of nothing": (gzip.compress(b""), "FILE: is empty"),
    "compressed twice": (gzip.compress(gzip.compress(TWO.encode())), "FILE: is compressed twice"),
    "a cut zip": (b"PK\x03\x04" + bytes(100), "FILE: is cut off or damaged"),
    "a long cell": (
        f"email,name\nada@example.com,x\n{'a' * 1025}@example.com,x\n",
        'FILE, row 3: the cell in "email" has more',
    ),
    "json that ends": ('[{"email": "ada@example.com"}, ', "FILE: begins as a JSON array and is none"),
    "a comma behind the last entry": ('[\n{"email": "ada@example.com"},\n]', "FILE, line 3: begins as a JSON array"),
    "an array as Python prints it": ("[\n{'email': 'ada@example.com'}]", "FILE, line 2: begins as a JSON array"),
    "an object around a list": (
        '{"total": 2, "data": [{"email": "ada@example.com"}, {"email": "alan@example.com"}]}',
        'FILE, line 1: is one object around the list "data"',
    ),
    "json of no objects": ('[{"email": "ada@example.com"}, 17]', "FILE, entry 2: is no object"),
    "json printed over lines": ('{\n "email": "ada@example.com"\n}\n', "FILE, line 1: is no JSON object on a line"),
    "a broken line of json": (
        '{"email":"ada@example.com"}\n\n{"email":\n',
        "FILE, line 3: is no JSON object on a line",
    ),
    "an empty array": ("[]", "FILE: is a JSON array file without a customer"),
    "json in another encoding": (
        '{"email":"ada@example.com","firstName":"Jörg"}\n'.encode("cp1252"),
        "FILE: is JSON and not UTF-8",
    ),
    "a cut parquet": (b"PAR1" + bytes(100), "FILE: is a Parquet file that is cut off"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file_is_told_by_name_with_its_row_and_what_to_do(case: str, tmp_path: Path) -> None:
    content, expected = CASES[case]
    assert expected in problem_of(written(tmp_path, content))


def test_an_unclosed_quote_in_row_900_000_is_told_by_that_row(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    with path.open("w") as file:
        file.write("email,name\n")
        file.writelines(f"p{number}@example.com,Ada\n" for number in range(2, 900_000))
        file.write('"p@example.com,Ada\n')
        file.writelines(f"p{number}@example.com,Ada\n" for number in range(900_001, 920_000))
    assert "FILE, row 900,000: a quote opens a cell and nothing closes it" in problem_of(path)


def test_separators_that_change_in_row_100_000_are_told_by_that_row(tmp_path: Path) -> None:
    rows = "".join(f"p{number}@example.com,Ada\n" for number in range(2, 100_000))
    path = written(tmp_path, f"email,name\n{rows}p@example.com;Ada\n")
    assert "FILE, row 100,000: cells are separated by a semicolon" in problem_of(path)


@pytest.mark.parametrize("members", [[], ["a.csv", "b.csv"]])
def test_an_archive_holds_one_file(members: list[str], tmp_path: Path) -> None:
    path = tmp_path / "customers.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, TWO)
    assert "unpack it and name one file at a time" in problem_of(path)


def test_an_archive_that_becomes_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience_client.files.inflating.ALWAYS_INFLATED", 100_000)
    path = written(tmp_path, gzip.compress(b"email,phone\n" + b"," * 50_000_000))
    monkeypatch.setattr("audience_client.files.inflating.MAX_RATIO", 100)
    assert "when unpacked; unpack it and look at it" in problem_of(path)


def test_an_open_document_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "customers.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.xml", "<office/>")
    assert "is an OpenDocument file" in problem_of(path)


def test_a_formula_that_was_never_calculated_is_told_by_its_row(tmp_path: Path) -> None:
    path = workbook(
        tmp_path, [["email", "phone"], ["ada@example.com", "+14155550100"], ["alan@example.com", '="+4" & "9"']]
    )
    assert 'FILE, row 3: the cell in "phone" has a formula that was never calculated' in problem_of(path)


def test_digits_that_excel_lost_are_refused_by_row(tmp_path: Path) -> None:
    path = workbook(
        tmp_path, [["email", "phone"], ["ada@example.com", 14155550100], ["alan@example.com", 12345678901234567890]]
    )
    assert 'FILE, row 3: the cell in "phone" has a number of more than 15 digits' in problem_of(path)


def test_what_is_wrong_in_a_column_that_nobody_uploads_does_not_matter(tmp_path: Path) -> None:
    read(
        workbook(
            tmp_path, [["email", "account"], ["ada@example.com", 12345678901234567890], ["alan@example.com", "=1+1"]]
        )
    )


def test_several_filled_sheets_need_an_answer(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["email"])
    book.create_sheet("More").append(["email"])
    path = tmp_path / "customers.xlsx"
    book.save(path)
    assert 'several sheets are filled: "Sheet", "More"; say which: --sheet "Sheet"' in problem_of(path)
    assert 'there is no sheet "Other"; there are "Sheet", "More"' in problem_of(path, ReadOptions(sheet="Other"))


def test_a_workbook_of_no_rows_is_told(tmp_path: Path) -> None:
    assert "is a workbook without a filled cell" in problem_of(workbook(tmp_path, []))
    assert "FILE, row 1: is a header and no customer" in problem_of(workbook(tmp_path, [["email"]]))


def test_a_column_of_parquet_that_can_t_be_text_is_refused_by_name_where_it_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "customers.parquet"
    table = arrow.table({"email": ["ada@example.com"], "phone": [b"\x01"], "tags": [{"a": b"1"}]})
    parquet.write_table(table, path)
    assert 'the column "phone" is of a type that can\'t be sent' in problem_of(path)
    read(path, options=MappingOptions(ignored=["phone"]))


def test_digits_that_a_double_lost_are_refused_by_row(tmp_path: Path) -> None:
    path = tmp_path / "customers.parquet"
    parquet.write_table(
        arrow.table({"email": ["ada@example.com"] * 2, "phone": [14155550100.0, 1.4155550100e17]}), path
    )
    assert 'FILE, row 2: the value in "phone" is beyond what its type can hold' in problem_of(path)


def test_a_parquet_of_no_rows_is_told(tmp_path: Path) -> None:
    path = tmp_path / "customers.parquet"
    parquet.write_table(arrow.table({"email": arrow.array([], arrow.string())}), path)
    assert "is a Parquet file without a row" in problem_of(path)


def test_a_parquet_with_groups_that_are_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience_client.files.parquet.MAX_GROUP", 2)
    path = tmp_path / "customers.parquet"
    parquet.write_table(arrow.table({"email": ["ada@example.com"] * 3}), path)
    assert "has a row group of 3 rows" in problem_of(path)


def test_a_parquet_with_dictionaries_that_are_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "customers.parquet"
    emails = arrow.array([f"p{number}@example.com" for number in range(100)])
    parquet.write_table(arrow.table({"email": emails.dictionary_encode()}), path)
    read(path)
    monkeypatch.setattr("audience_client.files.parquet.MAX_DICTIONARIES", 100)
    assert "of dictionaries (categories) in a row group" in problem_of(path)


def test_a_json_array_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audience_client.files.text.json_objects.MAX_ARRAY", 50_000)
    path = written(tmp_path, json.dumps([{"email": "ada@example.com"}] * 5_000))
    assert "write JSON Lines, such as by: jq" in problem_of(path)


def test_a_missing_file_or_a_folder_is_told(tmp_path: Path) -> None:
    assert "can't be read (No such file" in problem_of(tmp_path / "none.csv")
    assert "can't be read" in problem_of(tmp_path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, TWO)
    table = read_table(path)
    with path.open("a") as file:
        file.write("grace@example.com,\n")
    with pytest.raises(InputError, match="changed while it was read"):
        list(table.blocks([0]))
    table.close()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ReadOptions(encoding="utf-9"), "--encoding: no such encoding"),
        (ReadOptions(encoding="unicode_escape"), "--encoding: no such encoding"),
        (ReadOptions(separator="--"), "--separator: takes one character"),
        (ReadOptions(sheet="Sheet"), "--sheet: is of Excel files"),
        (ReadOptions(encoding="utf-16"), "is not utf-16"),
    ],
)
def test_an_option_that_does_not_fit_is_told(options: ReadOptions, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected.replace("(", r"\(")):
        read(written(tmp_path, TWO), options)


@pytest.mark.parametrize("kind", ["json", "xlsx"])
def test_a_separator_is_of_csv_only(kind: str, tmp_path: Path) -> None:
    json_file = written(tmp_path, '{"email":"ada@example.com"}', "customers.json")
    path = json_file if kind == "json" else workbook(tmp_path, [["email"], ["ada@example.com"]])
    with pytest.raises(InputError, match="--separator: is of CSV files"):
        read(path, ReadOptions(separator=";"))


def test_without_the_extra_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "customers.parquet"
    parquet.write_table(arrow.table({"email": ["ada@example.com"]}), path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert "pip install 'audience-client[files]'" in problem_of(path)


def test_without_the_extra_excel_and_zstandard_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path, [["email"], ["ada@example.com"]])
    for module in ("openpyxl", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    assert "reading Excel (.xlsx) needs more packages" in problem_of(path)
    assert "reading Zstandard (.zst) needs more packages" in problem_of(written(tmp_path, b"\x28\xb5\x2f\xfd1234"))


def test_a_random_cut_of_a_file_never_ends_in_anything_but_a_sentence(tmp_path: Path) -> None:
    book = io.BytesIO(workbook(tmp_path, [["email", "phone"], ["ada@example.com", 14155550100]]).read_bytes())
    table = tmp_path / "customers.parquet"
    parquet.write_table(arrow.table({"email": ["ada@example.com"] * 50}), table)
    for content in (book.getvalue(), table.read_bytes(), gzip.compress(TWO.encode())):
        for cut in range(5, len(content), max(1, len(content) // 97)):
            path = written(tmp_path, content[:cut], "cut")
            with pytest.raises(InputError):
                read(path)


def test_an_ambiguous_file_says_which_columns_may_be_meant(tmp_path: Path) -> None:
    path = written(tmp_path, "Kontakt 1 privat,Kontakt 2 Firma\nada@example.com,alan@example.com\n")
    with pytest.raises(AmbiguousColumnsError) as caught:
        read(path)
    assert (caught.value.field, caught.value.candidates) == ("email", ("Kontakt 1 privat", "Kontakt 2 Firma"))
    assert '--map email="Kontakt 1 privat"' in str(caught.value)
    read(path, options=MappingOptions(maps=[("email", "Kontakt 1 privat")]))


def test_a_title_above_the_header_of_a_workbook_is_told_by_the_header_s_row(tmp_path: Path) -> None:
    titled = workbook(tmp_path, [["Customers 2026"], [], ["email", "phone"], ["ada@example.com", "+14155550100"]])
    assert problem_of(titled) == "FILE, row 3: seems to be the header; delete what stands above it (row 1 to 2)"


def test_a_head_of_several_rows_above_the_header_of_a_workbook_is_told(tmp_path: Path) -> None:
    rows = [["Report"], ["Date", "2026"], [], ["email", "phone", "zip"], ["ada@example.com", "+14155550100", "94107"]]
    assert (
        problem_of(workbook(tmp_path, rows))
        == "FILE, row 4: seems to be the header; delete what stands above it (row 1 to 3)"
    )


def test_a_workbook_that_openpyxl_stumbles_over_ends_with_a_sentence(tmp_path: Path) -> None:
    """A sheet for a chart that has none."""
    book = openpyxl.Workbook()
    book.create_chartsheet("Chart")
    book.active.append(["email"])
    book.save(tmp_path / "chart.xlsx")
    assert problem_of(tmp_path / "chart.xlsx").startswith("FILE: is a workbook that is cut off or damaged")


def test_a_header_over_two_rows_of_a_workbook_is_told(tmp_path: Path) -> None:
    over = workbook(tmp_path, [["email", "name"], [None, "firstName", "lastName"], ["ada@example.com", "Ada", "L"]])
    assert problem_of(over).startswith("FILE, row 2: is a second header below that of row 1")


def test_a_standard_input_that_is_closed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(FileError, match="standard input: is closed; pipe a file into the command"):
        read_table("-")


def test_one_customer_with_a_list_of_objects_is_a_customer(tmp_path: Path) -> None:
    read(written(tmp_path, '{"email": "ada@example.com", "addresses": [{"zip": "94107"}, {"zip": "94108"}]}'))
