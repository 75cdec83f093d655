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
    "zero bytes in a cell": (TWO + "x\0@example.com,1\n", "FILE, line 4: holds zero bytes, which are of no text"),
    "zero bytes in json": ('[\n{"email":"a\0da@example.com"}]', "FILE, line 2: holds zero bytes"),
    "zero bytes in json lines": ('{"email":"ada@example.com"}\n\0\n', "FILE, line 2: holds zero bytes"),
    "UTF-32 without a mark": (TWO.encode("utf-32-le"), "FILE: is no text and of no kind that is read"),
    "an unclosed quote in front of all others": (
        TWO + '"x@example.com,1\n' + "y@example.com,2\n" * 3,
        "FILE, row 4: a quote opens a cell and nothing closes it before the file ends",
    ),
    "joined files with marks": ("\ufeff" + TWO + "\ufeff" + TWO, "FILE, row 4: repeats the header"),
    "a web page archive": ("MIME-Version: 1.0\nContent-Type: text/html\n", "FILE: is a web page archive"),
    "visiting cards": ("BEGIN:VCARD\nFN:Ada\nEND:VCARD\n", "FILE: is of visiting cards (vCard)"),
    "symbolic links": ('ID;PWXL;N;E\nC;Y1;X1;K"email"\n', "FILE: is a SYLK file (.slk)"),
    "excel before 1997": (b"\x09\x08\x08\x00\x00\x05\x10\x00" + bytes(600), "FILE: is a binary Excel file (.xls)"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "FILE: is a picture"),
    "a tar archive": (b"a.csv".ljust(257, b"\0") + b"ustar\0" + bytes(250), "FILE: is a tar archive"),
    "a database of DuckDB": (bytes(8) + b"DUCK" + bytes(200), "FILE: is a database of DuckDB"),
    "a stream of Arrow": (b"\xff\xff\xff\xff\x70" + bytes(200), "FILE: is a stream of Arrow"),
    "an encrypted parquet": (b"PARE" + bytes(200), "FILE: is a Parquet file that is encrypted"),
    "zeros": (b"\x01\x00\x00\x02\x00\x00" * 50, "FILE: is no text"),
    "a cut gzip": (gzip.compress(TWO.encode() * 900)[:-12], "FILE: is cut off or damaged"),
    "gzip of nothing": (gzip.compress(b""), "FILE: is empty"),
    "compressed twice": (gzip.compress(gzip.compress(TWO.encode())), "FILE: is compressed twice"),
    "a long gzip that is cut": (
        gzip.compress(b"email,number\n" + b"".join(b"p%d@example.com,1\n" % one for one in range(20_000)))[:-2000],
        "to its end, only some ",
    ),
    "a cut zip": (b"PK\x03\x04" + bytes(100), "FILE: is cut off or damaged"),
    "a long cell": (
        f"email,name\nada@example.com,x\n{'a' * 1025}@example.com,x\n",
        'FILE, row 3: the cell in "email" has more',
    ),
    "json that ends": (
        '[{"email": "ada@example.com"}, ',
        "FILE, line 1: begins as a JSON array and is none (entry 2, at character 31 the text ends within it); get it",
    ),
    "a comma behind the last entry": ('[\n{"email": "ada@example.com"},\n]', "FILE, line 3: begins as a JSON array"),
    "an array that is cut in an entry": (
        '[\n{"email": "ada@example.com"},\n{"email": "al',
        "FILE, line 3: begins as a JSON array and is none (entry 2, at character 14 the text ends within it)",
    ),
    "an array that is cut behind an entry": (
        '[\n{"email": "ada@example.com"}\n',
        "(entry 1, at character 1 the file ends behind it, before the array does)",
    ),
    "text behind an array": (
        '[\n{"email": "ada@example.com"}\n]\nalan',
        "FILE, line 4: begins as a JSON array and is none (at character 1 more text stands behind its end)",
    ),
    "NaN in an array": (
        '[\n{"email": "ada@example.com"},\n{"email": "alan@example.com", "total": [NaN]}]',
        'FILE, line 3: begins as a JSON array and is none (entry 2, at character 41 NaN or Infinity stands in "total"',
    ),
    "half a letter in an array": (
        '[{"email": "ada@example.com"},\n{"email": "\\ud83d"}]',
        "FILE, line 2: begins as a JSON array and is none (entry 2, at character 12 an escape is half of a letter",
    ),
    "a comment in an array": ('[\n// ada\n{"email": "ada@example.com"}]', "FILE, line 2: begins as a JSON array"),
    "an array in another encoding": (
        '[{"email":"ada@example.com"},\n{"firstName":"Jörg"}]'.encode("cp1252"),
        "FILE, line 2: is JSON and not UTF-8",
    ),
    "NaN on a line": (
        '{"email":"ada@example.com"}\n{"email":"alan@example.com","spent":-Infinity}\n',
        'FILE, line 2: is no JSON object on a line of its own (at character 37 NaN or Infinity stands in "spent"',
    ),
    "two objects on a line": (
        '{"email":"ada@example.com"}{"email":"alan@example.com"}\n',
        "FILE, line 1: is no JSON object on a line of its own (at character 28 more text stands behind its end)",
    ),
    "a tab in a text of json": ('{"email":"ada\t@example.com"}\n', "(at character 14 a text holds a line end or a tab"),
    "a line as Python prints it": ("{'email': 'ada@example.com'}\n", "FILE, line 1: is no JSON object on a line"),
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
        "FILE, line 1: is JSON and not UTF-8",
    ),
    "a cut parquet": (b"PAR1" + bytes(100), "FILE: is a Parquet file that is cut off"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_file_is_told_by_name_with_its_row_and_what_to_do(case: str, tmp_path: Path) -> None:
    content, expected = CASES[case]
    assert expected in problem_of(written(tmp_path, content))


def test_a_part_of_a_document_that_is_damaged_is_told_with_the_last_row_that_was_read(tmp_path: Path) -> None:
    table = arrow.table({"email": [f"p{number}@example.com" for number in range(20_000)]})
    path = tmp_path / "customers.parquet"
    parquet.write_table(table, path, row_group_size=10_000, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    at = content.find(b"p10000@example.com", len(content) // 3)
    content[at - 60 : at - 4] = bytes(56)
    path.write_bytes(content)
    assert "is a Parquet file that is cut off or damaged behind row 8,192" in problem_of(path)


def test_a_page_of_parquet_that_differs_from_its_checksum_is_refused(tmp_path: Path) -> None:
    """See findings/pyarrow-reads-past-the-checksums-of-pages.sh: one bit makes a number another person's."""
    path = tmp_path / "customers.parquet"
    numbers = arrow.table({"phone": ["+14155550100", "+14155550101"]})
    parquet.write_table(numbers, path, compression="none", use_dictionary=False, write_page_checksum=True)
    read(path)
    path.write_bytes(path.read_bytes().replace(b"+14155550100\x0c\0\0\0+1", b"+14155550107\x0c\0\0\0+1"))
    assert "FILE: is a Parquet file that is cut off or damaged" in problem_of(path)


def test_a_path_with_a_zero_byte_is_told() -> None:
    with pytest.raises(FileError, match="is no path, as it holds a zero byte; name a file that you may read"):
        read_table("customers\0.csv")


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
