"""Charsets that parts may be written in, by the labels that clients give them."""

import re
from collections.abc import Sequence

UTF8 = "utf-8"
WIDE = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"})
"""Their bytes may be valid UTF-8 as well: of ASCII every second one is NUL."""

_BOMS = {
    b"\xff\xfe\x00\x00": "utf-32-le",
    b"\x00\x00\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}

_SHIFTS = {"iso2022": b"\x1b", "csiso2022": b"\x1b", "hzgb2312": b"~", "utf7": b"+", "unicode11utf7": b"+"}
"""Charsets of seven bits, and the byte without which a text in them is ASCII."""

_SAFE = re.compile(r"[A-Za-z0-9_.:+-]{1,40}")
_JOINTS = re.compile(r"[-_.: ]")


def _labelled(codecs: Sequence[str], *labels: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(labels, tuple(codecs))


def _latin(number: int) -> dict[str, tuple[str, ...]]:
    codec = f"iso8859_{number}"
    return _labelled((codec,), f"iso8859{number}", f"cp{28590 + number}")


# Labels are often too narrow, so a charset that is part of another is read as that, as browsers do
# (https://encoding.spec.whatwg.org/#names-and-labels). A second codec reads what the first can't.
_CODECS: dict[str, tuple[str, ...]] = {
    **_labelled((UTF8,), "utf8", "unicode11utf8", "usascii", "ascii", "ansix341968", "iso646us", "cp65001"),
    **{label: codecs for number in (*range(2, 12), 13, 14, 15, 16) for label, codecs in _latin(number).items()},
    **_labelled(("cp1252", "latin_1"), "iso88591", "latin1", "l1", "iso885911987", "cp28591", "cp819", "ibm819"),
    **_labelled(("iso8859_2",), "latin2", "l2"),
    **_labelled(("iso8859_3",), "latin3", "l3"),
    **_labelled(("iso8859_4",), "latin4", "l4"),
    **_labelled(("iso8859_5",), "cyrillic"),
    **_labelled(("iso8859_6",), "arabic"),
    **_labelled(("iso8859_7",), "greek", "greek8"),
    **_labelled(("iso8859_8",), "iso88598i", "iso88598e", "hebrew"),
    **_labelled(("cp1254", "iso8859_9"), "iso88599", "latin5", "l5"),
    **_labelled(("iso8859_10",), "latin6", "l6"),
    **_labelled(("cp874", "iso8859_11"), "iso885911", "tis620", "windows874", "cp874"),
    **_labelled(("iso8859_15",), "latin9", "l9"),
    **{f"{of}125{n}": (f"cp125{n}",) for n in range(9) for of in ("windows", "cp", "xcp", "win")},
    **_labelled(("utf-16",), "utf16", "ucs2", "unicode", "iso10646ucs2"),
    **_labelled(("utf-16-le",), "utf16le"),
    **_labelled(("utf-16-be",), "utf16be", "unicodefffe"),
    **_labelled(("utf-32",), "utf32", "ucs4", "iso10646ucs4"),
    **_labelled(("utf-32-le",), "utf32le"),
    **_labelled(("utf-32-be",), "utf32be"),
    **_labelled(("cp932",), "shiftjis", "sjis", "xsjis", "mskanji", "windows31j", "cp932", "ms932"),
    **_labelled(("euc_jp", "euc_jis_2004"), "eucjp", "xeucjp", "ujis"),
    **_labelled(("cp949",), "euckr", "xeuckr", "ksc56011987", "ksc5601", "windows949", "cp949", "ms949", "uhc"),
    **_labelled(("gb18030",), "gb18030", "gbk", "xgbk", "cp936", "ms936", "gb2312", "gb231280", "euccn", "xeuccn"),
    **_labelled(("big5hkscs", "cp950"), "big5", "big5hkscs", "xxbig5", "cnbig5", "cp950", "ms950", "windows950"),
    **_labelled(("koi8_r",), "koi8r", "koi8", "koi", "cskoi8r"),
    **_labelled(("koi8_u",), "koi8u", "koi8ru"),
}


class CharsetError(Exception):
    """A charset that is not read, or bytes that are not of it; the message says what to send."""


def codecs_of(label: str) -> tuple[str, ...]:
    """Return the codecs that a label means, in the order to try; none where it is not known.

    Labels are looked up in a list of ours: the interpreter would remember every unknown one.
    """
    return _CODECS.get(_key(label), ())


def is_ascii_proof(label: str, data: bytes) -> bool:
    """Tell whether bytes that are valid UTF-8 are that, whatever the label says."""
    shift = next((shift for name, shift in _SHIFTS.items() if _key(label).startswith(name)), None)
    return shift is None or shift not in data


def bom_of(data: bytes, family: str = "") -> str | None:
    """Return the wide codec whose byte order mark begins the bytes, of those that a label leaves (`utf-16`)."""
    return next((codec for bom, codec in _BOMS.items() if data.startswith(bom) and codec.startswith(family)), None)


def shown(label: str) -> str:
    """Return a label as an answer may name it."""
    return label if _SAFE.fullmatch(label) else "that it names"


def is_utf8(data: bytes) -> bool:
    """Tell whether bytes are valid UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def to_utf8(data: bytes, codec: str) -> bytes:
    """Return bytes of a charset in UTF-8, without a byte order mark. Raises UnicodeError."""
    if codec in WIDE:
        family = codec[: len("utf-16")]  # a NUL behind the mark of UTF-16 looks like the mark of UTF-32
        codec = bom_of(data, family) or bom_of(data) or _ordered(data, codec)
    return data.decode(codec).removeprefix("\ufeff").encode()


def _ordered(data: bytes, codec: str) -> str:
    """Return the codec with the order of its bytes: where nothing says it, the NULs of ASCII do, else it is little."""
    if codec not in ("utf-16", "utf-32"):
        return codec
    last = int(codec[-2:]) // 8 - 1
    is_big = data[0 :: last + 1].count(0) > data[last :: last + 1].count(0)
    return f"{codec}-{'be' if is_big else 'le'}"


def _key(label: str) -> str:
    return _JOINTS.sub("", label.strip("\"' ").lower())
