"""What a file is, by what it begins with; its name is not asked."""

import re
import zipfile
from typing import Literal

from audience_client.errors import FileError
from audience_client.files.source import Source

Kind = Literal["delimited", "json lines", "json array", "parquet", "excel"]

FEW_ZEROS = 100
"""A text may have a zero byte in so many letters: databases leave some behind."""

_SAVE_AS = "save or export it as CSV (UTF-8) or .xlsx"
_UNPACK = "unpack it, or compress it as .gz, .zst or .zip"

_OLD_EXCEL = (b"\x09\x00\x04\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00", b"\x09\x08")
"""What Excel's files from before 1997 begin with."""

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"is a binary Excel file (.xls) or one locked by a password; {_SAVE_AS}"),
    (b"%PDF", f"is a PDF; {_SAVE_AS} where it was made"),
    (b"{\\rtf", f"is a text document (RTF); {_SAVE_AS}"),
    (b"BZh", f"is compressed as bzip2; {_UNPACK}"),
    (b"\xfd7zXZ\x00", f"is compressed as xz; {_UNPACK}"),
    (b"7z\xbc\xaf\x27\x1c", f"is a 7-Zip archive; {_UNPACK}"),
    (b"Rar!", f"is a RAR archive; {_UNPACK}"),
    (b"\x1f\x8b", f"is compressed twice; {_UNPACK}"),
    (b"\x28\xb5\x2f\xfd", f"is compressed twice; {_UNPACK}"),
    (b"ARROW1", "is an Arrow or Feather file; write it as Parquet or CSV"),
    (b"ORC", "is an ORC file; write it as Parquet or CSV"),
    (b"Obj\x01", "is an Avro file; write it as Parquet, CSV or JSON Lines"),
    (b"\xff\xff\xff\xff", "is a stream of Arrow; write it as Parquet or CSV"),
    (b"PARE", "is a Parquet file that is encrypted; write it without encryption, or as CSV"),
    (b"SQLite format 3", "is a database of SQLite; export the table as CSV"),
    *((begins, f"is a binary Excel file (.xls); {_SAVE_AS}") for begins in _OLD_EXCEL),
    *((begins, "is a picture; name the file with the customers") for begins in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8")),
    *((begins, f"is a SYLK file (.slk); {_SAVE_AS}") for begins in (b"ID;PWXL", b"ID;PSCALC")),
    (b"BEGIN:VCARD", "is of visiting cards (vCard); export it as CSV where it was made"),
    (b"MIME-Version:", f"is a web page archive (.mht, or an old Excel export); open it and {_SAVE_AS}"),
    (
        b"<",
        "is HTML or XML, whatever its name says (an error page, a web page or an old Excel export); open it and "
        + _SAVE_AS,
    ),
)
_FURTHER = (
    (257, b"ustar", "is a tar archive; unpack it and name one file of it"),
    (8, b"DUCK", "is a database of DuckDB; export the table as CSV or Parquet"),
)
"""Signs that stand behind so many bytes."""

_NO_LETTER = re.compile("[\x01-\x08\x0e-\x19\x7f]")
_TEXT_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_DOCUMENTS = (
    ("xl/workbook.bin", f"is a binary Excel file (.xlsb); {_SAVE_AS}"),
    ("content.xml", f"is an OpenDocument file; {_SAVE_AS}"),
    ("Index/Document.iwa", f"is a Numbers or Pages file; {_SAVE_AS}"),
    ("Index.zip", f"is a Numbers or Pages file; {_SAVE_AS}"),
    ("word/document.xml", f"is a Word document; {_SAVE_AS}"),
)
_ARRAY = re.compile(r"""\s*\[\s*([\[\]{"\d'/]|$)""")
_OBJECT = re.compile(r"""\s*\{\s*["'}]""")


def kind_of(source: Source) -> Kind:
    """Tell what a file is. Raises FileError where it is nothing that is read, and names what it is."""
    head = source.head()
    if not head.strip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"):
        raise FileError(source.name, "is empty; export it again, or name another file")
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_document(source)
    if head.startswith(b"PAR1"):
        return "parquet"
    text = shown_text(head)
    if text.startswith("<"):
        raise FileError(source.name, _OTHERS[-1][1])
    for place, sign, what in (*((0, *other) for other in _OTHERS), *_FURTHER):
        if head.startswith(sign, place):
            raise FileError(source.name, what)
    if text.count("\x00") * FEW_ZEROS > len(text):
        raise _no_text(source.name, text)
    return _kind_of_text(text)


def _no_text(name: str, text: str) -> FileError:
    """Say where zeros are in what is a text but for them, and of anything else that it is none."""
    if _NO_LETTER.search(text) or "\x00\x00\x00" in text.rstrip("\x00"):
        return FileError(name, f"is no text and of no kind that is read; {_SAVE_AS}")
    problem = "holds zero bytes, which are of no text; export it again, or take them out, as by: tr -d '\\000'"
    return FileError(name, problem, row=text.count("\n", 0, text.index("\x00")) + 1, unit="line")


def shown_text(head: bytes) -> str:
    """Return about what a text begins with, to judge what it is by signs that are the same in all encodings."""
    for bom, encoding in _TEXT_BOMS:
        if head.startswith(bom):
            return head[len(bom) :].decode(encoding, "replace").lstrip()
    return head.decode(utf_16_without_bom(head) or "latin-1", "replace").lstrip()


def utf_16_without_bom(head: bytes) -> str | None:
    """Return which UTF-16 a text without a mark is in: every second byte of most scripts' first letters is zero."""
    even, odd = head[: len(head) & ~1 : 2], head[1::2]
    if not even or not odd:
        return None
    zeros = even.count(0) / len(even), odd.count(0) / len(odd)
    if max(zeros) < 0.5 or min(zeros) > 0.05:
        return None
    return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"


def _kind_of_text(text: str) -> Kind:
    if _ARRAY.match(text):
        return "json array"
    return "json lines" if _OBJECT.match(text) else "delimited"


def _kind_of_document(source: Source) -> Kind:
    """Tell what a zip is that is no archive, or one within another."""
    with source.open_seekable() as content:
        try:
            members = set(zipfile.ZipFile(content).namelist())
        except zipfile.BadZipFile:
            members = set()
    if "xl/workbook.xml" in members:
        return "excel"
    for member, what in _DOCUMENTS:
        if member in members:
            raise FileError(source.name, what)
    raise FileError(source.name, "is a document or archive that is not read; save it as CSV (UTF-8) or .xlsx")
