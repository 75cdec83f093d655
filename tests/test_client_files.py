"""Files become tables of text, as people would write their values, whatever they are and however they are packed."""

import csv
import gzip
import io
import itertools
import json
import os
import random
import re
import stat
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import openpyxl
import pyarrow as arrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from audience_client.errors import FileError
from audience_client.files.number_formats import shown_number
from audience_client.files.options import ReadOptions
from audience_client.files.reading import read_held, read_table
from audience_client.files.table import Table
from audience_client.files.text import encodings

CONTENT = "email,phone,firstName\nada@example.com,+447911123456,Ada\nalan@example.com,0049151,Alan\n"
ROWS = [["ada@example.com", "+447911123456", "Ada"], ["alan@example.com", "0049151", "Alan"]]


def rows_of(table: Table, columns: Sequence[int] | None = None) -> list[list[str]]:
    """Return all rows of a table, and close it."""
    wanted = range(len(table.columns)) if columns is None else columns
    rows = [list(row) for block in table.blocks(wanted) for row in block.rows]
    assert len(rows) == table.row_count
    table.close()
    return rows


def written(folder: Path, content: str | bytes, name: str = "customers") -> Path:
    """Write a file as it is, and return where."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def zst(content: bytes) -> bytes:
    """Compress by Zstandard."""
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 -- by version
    else:
        from backports import zstd  # noqa: PLC0415 -- by version
    return bytes(zstd.compress(content))


def zipped(content: bytes) -> bytes:
    """Put into an archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("export.csv", content)
    return packed.getvalue()


def unpacked(content: bytes) -> bytes:
    """Leave as it is."""
    return content


def of_parquet(columns: dict[str, object]) -> bytes:
    """Return a Parquet file."""
    made = io.BytesIO()
    parquet.write_table(arrow.table(columns), made)
    return made.getvalue()


def of_excel(rows: Sequence[Sequence[object]], formats: dict[str, str] | None = None) -> bytes:
    """Return a workbook."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for place, number_format in (formats or {}).items():
        book.active[place].number_format = number_format
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


NAMES = ("email", "phone", "firstName")
OBJECTS = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
KINDS: dict[str, bytes] = {
    "CSV": CONTENT.encode(),
    "TSV": CONTENT.replace(",", "\t").encode(),
    "JSON Lines": "".join(json.dumps(members) + "\n" for members in OBJECTS).encode(),
    "JSON array": json.dumps(OBJECTS).encode(),
    "Parquet": of_parquet({name: [members[name] for members in OBJECTS] for name in NAMES}),
    "Excel": of_excel([NAMES, *ROWS]),
}


@pytest.mark.parametrize("pack", [unpacked, gzip.compress, zst, zipped])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_by_its_content_however_it_is_packed(
    kind: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    table = read_table(written(tmp_path, pack(KINDS[kind]), "customers.dat"))
    assert (table.kind, table.columns) == (kind, ("email", "phone", "firstName"))
    assert rows_of(table) == ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_columns_that_are_asked_for_are_read(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path, KINDS[kind])
    assert rows_of(read_table(path), [2, 0]) == [[row[2], row[0]] for row in ROWS]
    assert rows_of(read_table(path), [1]) == [[row[1]] for row in ROWS]


@pytest.mark.parametrize("kind", KINDS)
def test_standard_input_is_kept_in_a_private_file_that_is_deleted(kind: str, tmp_path: Path) -> None:
    """In a process of its own, whose folder for such files is this test's."""
    code = """
import os, stat, sys, tempfile
from pathlib import Path
from audience_client.files.reading import read_held, read_table
made = []
real = tempfile.TemporaryFile
def noted(*given, **named):
    made.append(real(*given, **named))
    return made[-1]
tempfile.TemporaryFile = noted
table = read_table("-")
rows = [list(row) for block in table.blocks(range(3)) for row in block.rows]
again = [list(row) for block in table.blocks(range(3)) for row in block.rows]
modes = [stat.S_IMODE(os.fstat(file.fileno()).st_mode) for file in made]
table.close()
print(repr((rows == again, rows, modes, [file.closed for file in made], table.name)))
"""
    environ = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(encodings.__file__).parents[3])}
    ran = subprocess.run(
        [sys.executable, "-c", code], input=KINDS[kind], capture_output=True, env=environ, check=True, timeout=60
    )
    is_same, rows, modes, closed, name = eval(ran.stdout)  # noqa: S307 -- what we printed
    assert (is_same, rows, name) == (True, ROWS, "standard input")
    assert all(closed)
    if os.name == "posix":
        assert set(modes) == {0o600}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_read_as_standard_input_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["/bin/sh", "-c", f"printf '{CONTENT}' > {tmp_path}/pipe"]):
        assert rows_of(read_table(tmp_path / "pipe")) == ROWS


UMLAUTS = "email,firstName\nada@example.com,Jörg\nalan@example.com,Brûlé\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]
)
def test_encodings_are_told_apart(encoding: str, tmp_path: Path) -> None:
    table = read_table(written(tmp_path, UMLAUTS.encode(encoding)))
    assert bool(table.notices) == (encoding in ("cp1252", "latin-1"))
    assert rows_of(table) == [["ada@example.com", "Jörg"], ["alan@example.com", "Brûlé"]]


def test_a_guess_of_an_encoding_is_shown_with_what_it_changes(tmp_path: Path) -> None:
    (notice,) = read_table(written(tmp_path, UMLAUTS.encode("cp1252"))).notices
    assert notice.examples == ("Jörg", "Brûlé")
    assert "--encoding" in notice.text
    assert "Jörg" not in notice.text


def test_a_stray_zero_byte_makes_no_text_a_binary_file(tmp_path: Path) -> None:
    content = "email,firstName\n" + "ada@example.com,Ada\n" * 20 + "alan@example.com,Al\0an\n"
    assert rows_of(read_table(written(tmp_path, content)))[-1] == ["alan@example.com", "Al\0an"]


def test_one_letter_late_in_the_file_decides(tmp_path: Path) -> None:
    content = "email,firstName\n" + "ada@example.com,Ada\n" * 20_000 + "joerg@example.com,Jörg\n"
    table = read_table(written(tmp_path, content.encode("cp1252")))
    assert rows_of(table)[-1] == ["joerg@example.com", "Jörg"]


@pytest.mark.parametrize("encoding", ["cp1250", "mac-roman", "shift-jis"])
def test_an_encoding_can_be_said(encoding: str, tmp_path: Path) -> None:
    name = "Żółć" if encoding == "cp1250" else "Brûlé" if encoding == "mac-roman" else "美咲"
    path = written(tmp_path, f"email,firstName\nada@example.com,{name}\n".encode(encoding))
    table = read_table(path, ReadOptions(encoding=encoding))
    assert (table.notices, rows_of(table)) == ((), [["ada@example.com", name]])


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("email|name\nada@example.com|Lovelace, Ada\nalan@example.com|Turing, Alan\n", 2),
        ('email;note\nada@example.com;"{""a"": 1, ""b"": 2}"\n', 2),
        ("email;value;name\nada@example.com;1,50;\"Lovelace, Ada\"\nalan@example.com;2,50;\"Turing, Alan\"\n", 3),
        ("email\nada@example.com\nalan@example.com\n", 1),
        ("email\tnote\nada@example.com\ta, b; c\n", 2),
        ("sep=;\nemail;phone\nada@example.com;1\n", 2),
        ("email,phone\rada@example.com,1\ralan@example.com,2\r", 2),
    ],
)  # fmt: skip
def test_a_separator_is_the_one_that_cuts_all_rows_alike(content: str, columns: int, tmp_path: Path) -> None:
    table = read_table(written(tmp_path, content))
    assert (table.columns[0], len(table.columns)) == ("email", columns)
    assert rows_of(table)[0][0] == "ada@example.com"


def test_a_separator_can_be_said(tmp_path: Path) -> None:
    path = written(tmp_path, "email~phone\nada@example.com~1\n")
    assert rows_of(read_table(path, ReadOptions(separator="~"))) == [["ada@example.com", "1"]]
    path = written(tmp_path, "email\tphone\nada@example.com\t1\n")
    assert rows_of(read_table(path, ReadOptions(separator="tab"))) == [["ada@example.com", "1"]]


def test_numbers_of_rows_are_those_that_a_spreadsheet_shows(tmp_path: Path) -> None:
    content = '\nemail,note\n\nada@example.com,"a\nb"\n,\nalan@example.com,x\n'
    table = read_table(written(tmp_path, content))
    blocks = list(table.blocks([0, 1]))
    assert [(number, *row) for block in blocks for number, row in zip(block.numbers, block.rows, strict=True)] == [
        (4, "ada@example.com", "a\nb"),
        (6, "alan@example.com", "x"),
    ]


def test_rows_that_end_early_are_read_where_nothing_that_is_uploaded_is_missing(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "email,phone,note\nada@example.com,1,x\nalan@example.com,2\n"))
    (notice,) = table.notices
    assert "have fewer cells than the header (1, the first is row 3)" in notice.text
    assert rows_of(table, [0, 1]) == [["ada@example.com", "1"], ["alan@example.com", "2"]]


CELLS = st.text(st.sampled_from('ab ",;\n\r\té'), max_size=6)


@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=40),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n"]),
    block=st.sampled_from([7, 64, 1 << 16]),
)
@settings(max_examples=300, deadline=None)
def test_the_fast_ways_read_what_the_parser_does(rows: list[list[str]], quoting: int, end: str, block: int) -> None:
    made = io.StringIO(newline="")
    if quoting == csv.QUOTE_MINIMAL:  # what Python's writer leaves bare is the end of a row to its reader
        rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    writer = csv.writer(made, quoting=quoting, lineterminator=end)  # type: ignore[arg-type] # an int
    writer.writerows([["email", "note"], *rows, ["last", "row"]])
    expected = [row for row in csv.reader(io.StringIO(made.getvalue(), newline="")) if any(row)][1:]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "BLOCK", block)
        table = read_table(written(Path(folder), made.getvalue()), ReadOptions(separator=","))
        assert rows_of(table) == expected


@pytest.mark.parametrize("block", [300, 2_000, 1 << 16])
def test_quotes_on_some_lines_of_many_are_read_as_the_parser_reads_them(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "BLOCK", block)
    chance = random.Random(7)
    notes = ["plain", "with, comma", 'with "quotes"', "two\nlines", "two\r\nlines", ""]
    dialects = itertools.product(("\n", "\r\n"), (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    for end, quoting in dialects:
        made = io.StringIO(newline="")
        rows = [[f"p{n}@example.com", notes[0] if n % 9 else chance.choice(notes), "z"] for n in range(9_000)]
        writer = csv.writer(made, quoting=quoting, lineterminator=end)  # type: ignore[arg-type] # an int
        writer.writerows([["email", "note", "zip"], *rows])
        assert rows_of(read_table(written(tmp_path, made.getvalue()))) == rows


def test_times_with_a_zone_are_read_where_no_database_of_zones_is(tmp_path: Path) -> None:
    """Windows has none, nor have slim images: pyarrow then has no Python value even of UTC."""
    path = tmp_path / "customers.parquet"
    hour = datetime(2026, 1, 1, 10, tzinfo=UTC)
    zones = {name: arrow.array([hour, None], arrow.timestamp("us", name)) for name in ("Europe/Berlin", "UTC")}
    parquet.write_table(arrow.table({"email": ["ada@example.com"] * 2, **zones}), path)
    code = f"""
import sys, zoneinfo
sys.modules["tzdata"] = sys.modules["pytz"] = None
from audience_client import read_table
with_times = read_table({str(path)!r})
print(*[cell for row in with_times.samples for cell in row[1:]], sep="|")
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONTZPATH": ""}, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "2026-01-01 10:00:00+00:00|2026-01-01 10:00:00+00:00||\n"


def test_a_header_that_begins_as_other_files_do_is_a_header(tmp_path: Path) -> None:
    for header in ("ID;Phone;Email", "ID;PLZ;Email", "Object;x;Email", "[ID];[Phone];[Email]"):
        assert rows_of(read_table(written(tmp_path, f"{header}\n1;2;ada@example.com\n"))) == [
            ["1", "2", "ada@example.com"]
        ]


def test_of_lists_of_objects_the_first_that_is_filled_is_taken(tmp_path: Path) -> None:
    content = (
        '{"emails":[{"value":"","type":"work"},{"value":"ada@example.com"}],"addresses":[{"zip":null},{"zip":"94107"}]}\n'
        '{"emails":[{"value":"alan@example.com"},{"value":"x@example.com"}],"addresses":[]}\n'
        '{"emails":[{"value":""}]}\n'
    )
    table = read_table(written(tmp_path, content))
    email = table.columns.index("emails.value")
    assert [row[email] for row in rows_of(table)] == ["ada@example.com", "alan@example.com", ""]
    zips = table.columns.index("addresses.zip")
    assert [row[zips] for row in rows_of(table)] == ["", "", ""], "an address is not put together of several"


def test_excel_s_numbers_are_those_that_people_saw(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["email", "phone", "zip", "value", "since", "is_vip", "gone"],
        ["ada@example.com", 447911123456, 1067, 12.5, date(2026, 11, 28), True, None],
        ["alan@example.com", "+49 151", 94107, 0.1, datetime(2026, 11, 28, 9, 5), False, "#N/A"],  # noqa: DTZ001 -- Excel has no zones
    ]
    table = read_table(written(tmp_path, of_excel(rows, {"C2": "00000", "C3": "00000"})))
    assert rows_of(table) == [
        ["ada@example.com", "447911123456", "01067", "12.5", "2026-11-28", "true", ""],
        ["alan@example.com", "+49 151", "94107", "0.1", "2026-11-28 09:05:00", "false", "#N/A"],
    ]


@pytest.mark.parametrize(
    ("value", "number_format", "expected"),
    [
        (1067, "00000", "01067"),
        (1067, "General", "1067"),
        (1067, "#,##0.00", "1067"),
        (4155550100, "(000) 000-0000", "(415) 555-0100"),
        (4155550100, r"\(000\)\ 000\-0000", "(415) 555-0100"),
        (491511234567, '"+"000', "+491511234567"),
        (123456789, "000-00-0000", "123-45-6789"),
        (12345678, "0", "12345678"),
        (-5, "000", "-5"),
        (4155550100, "[<=9999999]###-####;(###) ###-####", "4155550100"),
        (45000, "yyyy-mm-dd", "45000"),
        (1067, '00000" DE"', "01067 DE"),
    ],
)
def test_a_format_of_zeros_gives_back_those_that_a_number_lost(value: int, number_format: str, expected: str) -> None:
    assert shown_number(value, number_format) == expected


def test_a_formula_that_results_in_nothing_is_an_empty_cell(tmp_path: Path) -> None:
    """As where somebody drags a formula further down than there are customers."""
    made = io.BytesIO()
    content = of_excel([["email", "phone"], ["ada@example.com", "=A9"], ["=A9", "=A9"]])
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(made, "w") as parts:
        for part in given.namelist():
            text = re.sub(
                rb'<c r="(\w+)"><f>A9</f><v ?/></c>', rb'<c r="\1" t="str"><f>A9</f><v></v></c>', given.read(part)
            )
            parts.writestr(part, text)
    table = read_table(written(tmp_path, made.getvalue()))
    assert table.is_checked
    assert rows_of(table) == [["ada@example.com", ""]]


def test_rows_of_excel_keep_their_numbers_and_sheets_can_be_chosen(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(["other"])
    sheet = book.create_sheet("Kunden")
    for row in ([], ["email", "phone"], [], ["ada@example.com", "1"], [None, None], ["alan@example.com"]):
        sheet.append(row)
    book.save(tmp_path / "customers.xlsx")
    table = read_table(tmp_path / "customers.xlsx", ReadOptions(sheet="Kunden"))
    blocks = list(table.blocks([0, 1]))
    assert [(list(block.numbers), block.rows) for block in blocks] == [
        ([4, 6], [["ada@example.com", "1"], ["alan@example.com", ""]])
    ]
    table.close()


def test_parquet_s_types_become_what_people_would_write(tmp_path: Path) -> None:
    some = UUID("12345678-1234-5678-1234-567812345678")
    columns = {
        "email": arrow.array(["ada@example.com", None]),
        "large": arrow.array(["a", "b"], arrow.large_string()),
        "view": arrow.array(["a", None], arrow.string_view()),
        "words": arrow.array(["DE", "DE"]).dictionary_encode(),
        "phone": arrow.array([447911123456.0, None], arrow.float64()),
        "half": arrow.array([0.5, float("nan")], arrow.float64()),
        "small": arrow.array([0.00001, 3.0], arrow.float64()),
        "whole": arrow.array([1067, None], arrow.int32()),
        "exact": arrow.array([Decimal("94107.00"), Decimal("1.50")], arrow.decimal128(18, 2)),
        "id": arrow.array([some.bytes, None], arrow.uuid()),
        "day": arrow.array([date(2026, 11, 28), None], arrow.date32()),
        "moment": arrow.array([datetime(2026, 11, 28, tzinfo=UTC), None], arrow.timestamp("ms", tz="UTC")),
        "old": arrow.array([1_795_824_000_123_456_789, None], arrow.timestamp("ns")),
        "far": arrow.array([10**15, 0], arrow.timestamp("s")),
        "halves": arrow.array([1.0, None], arrow.float16()),
        "took": arrow.array([1, None], arrow.duration("s")),
        "flag": arrow.array([True, False]),
        "nothing": arrow.nulls(2),
        "list": arrow.array([["", None, "first"], None], arrow.list_(arrow.string())),
        "numbers": arrow.array([[1, 2], []], arrow.list_(arrow.int64())),
        "addr": arrow.array([{"zip": "01067", "in": {"code": "DE"}}, None]),
    }
    table = read_table(written(tmp_path, of_parquet(dict(columns))))
    assert table.columns[-2:] == ("addr.zip", "addr.in.code")
    rows = [row for block in table.blocks(range(len(table.columns)), is_strict=False) for row in block.rows]
    cells = dict(zip(table.columns, zip(*rows, strict=True), strict=True))
    table.close()
    assert cells == {
        "email": ("ada@example.com", ""),
        "large": ("a", "b"),
        "view": ("a", ""),
        "words": ("DE", "DE"),
        "phone": ("447911123456", ""),
        "half": ("0.5", ""),
        "small": ("0.00001", "3"),
        "whole": ("1067", ""),
        "exact": ("94107", "1.50"),
        "id": (str(some), ""),
        "day": ("2026-11-28", ""),
        "moment": ("2026-11-28", ""),
        "old": ("2026-11-28 00:00:00.123456", ""),
        "far": ("", "1970-01-01"),
        "halves": ("1", ""),
        "took": ("", ""),
        "flag": ("true", "false"),
        "nothing": ("", ""),
        "list": ("first", ""),
        "numbers": ("1", ""),
        "addr.zip": ("01067", ""),
        "addr.in.code": ("DE", ""),
    }


def test_json_keeps_digits_as_they_are_written(tmp_path: Path) -> None:
    content = (
        '{"email":"ada@example.com","phone":14155550100,"zip":"01067","value":12.50,"big":123456789012345678901234567890}\n'
        '{"email":null,"phone":1.4155550100e10,"vip":true,"emails":["",null,"b@example.com"],"addr":{"zip":"94107"}}\n'
        '{"addr":[{"zip":""},{"zip":"75001"}],"none":{}}\n'
    )
    table = read_table(written(tmp_path, content))
    assert table.columns == ("email", "phone", "zip", "value", "big", "vip", "emails", "addr.zip")
    assert rows_of(table) == [
        ["ada@example.com", "14155550100", "01067", "12.50", "123456789012345678901234567890", "", "", ""],
        ["", "1.4155550100e10", "", "", "", "true", "b@example.com", "94107"],
        ["", "", "", "", "", "", "", ""],
    ]


def test_names_that_come_late_in_json_lines_are_columns_too(tmp_path: Path) -> None:
    content = '{"email":"ada@example.com"}\n' * 5_000 + '\n{"phone":"1"}\n'
    table = read_table(written(tmp_path, content))
    assert table.columns == ("email", "phone")
    (*_, last) = table.blocks([0, 1])
    assert (last.numbers[-1], list(last.rows[-1])) == (5_002, ["", "1"])
    table.close()


def test_hostile_sizes_of_a_workbook_are_not_believed(tmp_path: Path) -> None:
    """A sheet says how far it goes, and may lie."""
    content = of_excel([["email"], ["ada@example.com"]])
    lying = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(lying, "w") as made:
        for part in given.namelist():
            text = given.read(part)
            made.writestr(part, text.replace(b'<dimension ref="A1:A2"', b'<dimension ref="A1:XFD1048576"'))
    assert rows_of(read_table(written(tmp_path, lying.getvalue()))) == [["ada@example.com"]]


def test_a_file_of_mode_0600_is_enough(tmp_path: Path) -> None:
    path = written(tmp_path, CONTENT)
    path.chmod(stat.S_IRUSR)
    assert rows_of(read_table(path)) == ROWS


def held_files() -> dict[str, bytes]:
    """Return files that become some 100,000 bytes when they are unpacked, or more."""
    csv = b"email\n" + b"ada@example.com\n" * 8_000
    book, workbook, table = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    for number in range(4_000):
        book.active.append([f"person{number}@example.com"] if number else ["email"])
    book.save(workbook)
    addresses = [f"person{number}@example.com" for number in range(8_000)]
    parquet.write_table(arrow.table({"email": addresses}), table)
    return {
        "gzip": gzip.compress(csv),
        "Excel": workbook.getvalue(),
        "Parquet": table.getvalue(),
        "Parquet in gzip": gzip.compress(table.getvalue()),
    }


@pytest.mark.parametrize("kind", held_files())
def test_what_is_held_in_memory_has_a_bound_and_is_on_no_disk(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = held_files()[kind]
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    with pytest.raises(FileError, match=r"customers: becomes more than 0 MiB when unpacked|MiB of texts"):
        read_held("customers", io.BytesIO(content), 100_000)
    table = read_held("customers", io.BytesIO(content), 10_000_000)
    assert sum(len(block.rows) for block in table.blocks([0])) == table.row_count
    table.close()
