"""Bodies as clients write them: encoded parts, charsets, boundaries, and the everyday mistakes."""

import base64
import json
import quopri
import secrets
from collections.abc import AsyncIterator

import pytest
from wire import multipart, part, post, usual
from world import World, make_users, world

from schemas.avro.codec import decode_audience_batch
from schemas.records import AudienceBatch
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end

MALFORMED = "Malformed request body, must be form data ("
NAME = "Søren 李明"
LATIN = "Søren"


@pytest.fixture(scope="module")
async def server(kafka: KafkaSettings) -> AsyncIterator[World]:
    """Ingestion without consumers."""
    settings = {"AUDIENCE_MAX_BODY": 100_000, "AUDIENCE_BODY_BUDGET": 1_000_000}
    async with world(kafka, f"test-{secrets.token_hex(6)}", consuming=(), settings=settings) as found:
        yield found


def users_json(name: str) -> str:
    """Return users with a name that is not ASCII."""
    return json.dumps([{"email": f"{secrets.token_hex(4)}@example.com", "firstName": name}], ensure_ascii=False)


async def stored(server: World, body: bytes, kind: str = "multipart/form-data; boundary=b") -> AudienceBatch:
    """Post a body that must be taken; return what stands in the log."""
    answer = await post(server, body, kind=kind)
    assert answer.status == 200, answer.body
    records = await read_to_end(server.kafka, server.names.batches)
    found = [decode_audience_batch(record.value) for record in records if record.value]
    return next(batch for batch in found if batch.batch_id == answer.headers["X-Batch-Id"])


async def test_a_base64_part_is_decoded(server: World) -> None:
    """As email.mime and curl write it, in lines of 76 characters."""
    labels = {"Content_Transfer_Encoding": "BASE64 "}
    name = part("name", base64.encodebytes(NAME.encode()).replace(b"\n", b"\r\n"), **labels)
    users = part("users", base64.encodebytes(users_json(NAME).encode()).replace(b"\n", b"\r\n"), **labels)
    found = await stored(server, multipart(usual(name, users)))
    assert (found.name, found.users[0].first_name) == (NAME, NAME)


async def test_a_quoted_printable_part_is_decoded(server: World) -> None:
    labels = {"Content_Transfer_Encoding": "quoted-printable"}
    name = part("name", quopri.encodestring(NAME.encode()), **labels)
    users = part("users", quopri.encodestring(users_json(NAME * 20).encode()).replace(b"\n", b"\r\n"), **labels)
    found = await stored(server, multipart(usual(name, users)))
    assert (found.name, found.users[0].first_name) == (NAME, NAME * 20)


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "binary", "8Bit", ""])
async def test_a_part_whose_transfer_encoding_changes_nothing_is_taken_as_it_is(server: World, encoding: str) -> None:
    name = part("name", NAME, Content_Transfer_Encoding=encoding)
    assert (await stored(server, multipart(usual(name)))).name == NAME


@pytest.mark.parametrize(
    ("encoding", "content", "told"),
    [
        ("base64", "not base64 made-up-secret!", "its Content-Transfer-Encoding is base64, and its content is not"),
        ("base64", "TUE", "its Content-Transfer-Encoding is base64, and its content is not"),
        ("base64", "TUE=TUE=", "its Content-Transfer-Encoding is base64, and its content is not"),
        ("quoted-printable", "a=made-up-secret", "its Content-Transfer-Encoding is quoted-printable, and its "),
        ("x-uuencode", "made-up-secret", "Content-Transfer-Encoding: leave it out, or send 8bit, binary, base64 or "),
    ],
)
async def test_a_part_that_can_not_be_decoded_is_named(server: World, encoding: str, content: str, told: str) -> None:
    users = part("users", content, Content_Transfer_Encoding=encoding)
    answer = await post(server, multipart(usual(users)))
    assert answer.status == 400
    assert answer.errors[0].startswith(f"users: {told}")
    assert b"made-up-secret" not in answer.body


async def test_all_parts_that_can_not_be_decoded_are_told_together(server: World) -> None:
    broken = [part(name, "?", Content_Transfer_Encoding="base64") for name in ("name", "users")]
    answer = await post(server, multipart(usual(*broken)))
    assert [error.partition(":")[0] for error in answer.errors] == ["name", "users"]


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO-8859-1", LATIN),
        ("iso-8859-15", "Œuvre 5 €"),
        ("windows-1252", "Søren “x” €"),
        ("windows-1251", "Привет"),
        ("KOI8-R", "Привет"),
        ("Shift_JIS", "表示テスト"),
        ("EUC-JP", "日本語"),
        ("EUC-KR", "한국어"),
        ("GB18030", "李明"),
        ("Big5", "中文"),
        ("UTF-16LE", NAME),
        ("UTF-16BE", NAME),
        ("UTF-32LE", NAME),
    ],
)
async def test_a_declared_charset_is_decoded(server: World, charset: str, name: str) -> None:
    kind = {"Content_Type": f'text/plain; charset="{charset}"'}
    users = part("users", users_json(name).encode(charset), **kind)
    found = await stored(server, multipart(usual(part("name", name.encode(charset), **kind), users)))
    assert (found.name, found.users[0].first_name) == (name, name)


@pytest.mark.parametrize("charset", ["ISO-8859-1", "windows-1252", "us-ascii", "x-made-up", "utf-16", "UTF8"])
async def test_what_is_valid_utf_8_is_that_whatever_is_declared(server: World, charset: str) -> None:
    kind = {"Content_Type": f"text/plain; charset={charset}"}
    found = await stored(server, multipart(usual(part("name", NAME, **kind), part("users", users_json(NAME), **kind))))
    assert (found.name, found.users[0].first_name) == (NAME, NAME)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32-le"])
async def test_utf_16_and_32_are_read_with_and_without_a_byte_order_mark(server: World, encoding: str) -> None:
    """Without one C# writes little endian; of ASCII these bytes are valid UTF-8 as well."""
    label = encoding[:6].upper()
    kind = {"Content_Type": f"text/plain; charset={label}"}
    users = users_json("Ada")
    name = part("name", "明李".encode(encoding), **kind)  # valid UTF-8 too, in both orders
    found = await stored(server, multipart(usual(name, part("users", users.encode(encoding), **kind))))
    assert found.users[0].first_name == "Ada"
    if encoding != "utf-16-be":  # its label does not say that, and no ASCII shows it
        assert found.name == "明李"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
async def test_a_byte_order_mark_says_the_charset_where_nothing_else_does(server: World, encoding: str) -> None:
    """As PowerShell and Windows editors write files."""
    name = part("name", NAME.encode(encoding))
    users = part("users", users_json(NAME).encode(encoding), Content_Type="application/octet-stream")
    found = await stored(server, multipart(usual(name, users)))
    assert (found.name, found.users[0].first_name) == (NAME, NAME)


async def test_a_form_may_name_the_charset_of_its_text_in_a_field(server: World) -> None:
    """RFC 7578, 4.6, and HTML forms."""
    parts = usual(part("name", "Привет".encode("cp1251")), part("_charset_", "windows-1251"))
    assert (await stored(server, multipart(parts))).name == "Привет"


async def test_text_that_names_no_charset_is_latin_1_where_it_is_not_utf_8(server: World) -> None:
    """Apache HttpClient 4 in its mode BROWSER_COMPATIBLE."""
    users = part("users", users_json(LATIN).encode("latin-1"))
    found = await stored(server, multipart(usual(part("name", LATIN.encode("latin-1")), users)))
    assert (found.name, found.users[0].first_name) == (LATIN, LATIN)


@pytest.mark.parametrize("encoding", ["cp1251", "shift_jis", "gb18030", "euc_kr"])
async def test_text_that_names_no_charset_and_is_no_latin_1_is_refused(server: World, encoding: str) -> None:
    text = {"cp1251": "Привет", "euc_kr": "한국어"}.get(encoding, "日本語")
    answer = await post(server, multipart(usual(part("name", text.encode(encoding)))))
    assert (answer.status, answer.errors) == (400, ["name: send UTF-8, byte 0 is none"])


async def test_a_file_is_not_guessed_to_be_latin_1(server: World) -> None:
    kind = {"Content_Type": "application/json"}
    answer = await post(server, multipart(usual(part("users", users_json(LATIN).encode("latin-1"), **kind))))
    assert answer.status == 400
    assert "users: not UTF-8 at byte" in answer.errors[0]


@pytest.mark.parametrize(
    ("charset", "shown"),
    [
        ("x-made-up", "x-made-up"),
        ("EUC-TW", "EUC-TW"),
        ('"made up; secret"', "that it names"),
        ("ISO-2022-JP", "ISO-2022-JP"),
    ],
)
async def test_a_charset_that_is_not_read_is_named(server: World, charset: str, shown: str) -> None:
    text = "日本".encode("iso2022_jp") if charset == "ISO-2022-JP" else b"caf\xe9"
    answer = await post(server, multipart(usual(part("name", text, Content_Type=f"text/plain; charset={charset}"))))
    assert (answer.status, answer.errors) == (400, [f"name: the charset {shown} is not read here; send UTF-8"])


async def test_bytes_that_are_none_of_their_charset_are_refused(server: World) -> None:
    name = part("name", b"\x80\x20", Content_Type="text/plain; charset=EUC-KR")
    answer = await post(server, multipart(usual(name)))
    assert (answer.status, answer.errors) == (400, ["name: not of the charset EUC-KR; send UTF-8"])


async def test_what_is_decoded_counts_as_the_size_of_the_body(server: World) -> None:
    euros = part("users", users_json("€" * 40_000).encode("cp1252"), Content_Type="text/plain; charset=windows-1252")
    answer = await post(server, multipart(usual(euros)))
    assert (answer.status, answer.errors[0].partition(",")[0]) == (413, "body: send at most 100000 bytes")


@pytest.mark.parametrize("disposition", [b'filename="caf\xe9.json"', b'filename="\x95\x5c.json"', b"filename=\xff"])
async def test_the_name_of_a_file_may_be_in_any_charset(server: World, disposition: bytes) -> None:
    kind = f'form-data; name="users"; {disposition.decode("latin-1")}'
    users = part("users", json.dumps(make_users(1)), Content_Disposition=kind)
    assert (await post(server, multipart(usual(users)))).status == 200


@pytest.mark.parametrize("boundary", ["==2600=:/?(x)==", "a'b()+_,-./:=?", "----=_Part_1.2", "x" * 70])
@pytest.mark.parametrize("is_quoted", [True, False])
async def test_a_boundary_may_have_what_rfc_2046_allows_quoted_or_not(
    server: World, boundary: str, is_quoted: bool
) -> None:
    kind = f'multipart/form-data; boundary="{boundary}"' if is_quoted else f"multipart/form-data; boundary={boundary}"
    await stored(server, multipart(usual(), boundary=boundary), kind)


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data;\tboundary=b",
        "multipart/form-data;boundary=b;charset=utf-8",
        "Multipart/Form-Data ; charset=utf-8 ; BOUNDARY = b",
    ],
)
async def test_the_content_type_may_be_written_in_every_way(server: World, kind: str) -> None:
    await stored(server, multipart(usual()), kind)


async def test_a_tab_in_the_header_of_a_part_is_a_blank(server: World) -> None:
    name = part("name", NAME, Content_Disposition='form-data;\tname="name"', Content_Type="text/plain;\tcharset=utf-8")
    assert (await stored(server, multipart(usual(name)))).name == NAME


@pytest.mark.parametrize("padding", [b" ", b"\t", b" \t  "])
async def test_blanks_behind_a_delimiter_are_taken(server: World, padding: bytes) -> None:
    await stored(server, multipart(usual(), padding=padding))


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        (
            "multipart/form-data",
            multipart(usual()),
            "Content-Type: expected a boundary; let your client set this header",
        ),
        (
            "text/plain",
            multipart(usual()),
            "Content-Type: expected multipart/form-data; let your client set this header",
        ),
        (
            "application/x-www-form-urlencoded",
            b"name=VIP&batch=%7B%7D&users=%5B%5D",
            "Content-Type: expected multipart/form-data; this body is urlencoded: send every field as a part",
        ),
        (
            "application/json",
            b'{"name": "VIP"}',
            "Content-Type: expected multipart/form-data; this body is JSON: send it as the part users",
        ),
        (
            "application/x-www-form-urlencoded",
            b'[{"email": "ada@example.com"}]',
            "Content-Type: expected multipart/form-data; this body is JSON: send it as the part users",
        ),
        (
            "text/plain;charset=UTF-8",
            b"[object FormData]",
            "Content-Type: expected multipart/form-data; the body is the ",
        ),
        (
            "multipart/form-data; boundary=b",
            b"[object FormData]",
            "the body is the text [object FormData]: your client ",
        ),
        ("multipart/mixed; boundary=b", multipart(usual()), "Content-Type: expected multipart/form-data; name it so"),
        (
            "multipart/form-data; boundary=other",
            multipart(usual()),
            "Content-Type names another boundary than the body has",
        ),
        ("multipart/form-data; boundary=b", multipart(usual(), end=b"\n"), "its lines end with LF"),
        ("multipart/form-data; boundary=b", multipart(usual())[:-6], "the end is missing: close the form"),
        ("multipart/form-data; boundary=b", b"", "there is no body"),
        (
            "multipart/form-data; boundary=b",
            b"made-up-secret",
            "the boundary that Content-Type names is not in the body",
        ),
        (
            "multipart/form-data; boundary=b",
            multipart([part(f"users[{number}][email]", "x") for number in range(70)]),
            "it has more than 64 parts; send users as one part, and batch as one, both as JSON",
        ),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nno header\r\n\r\nx\r\n--b--",
            "the parts can't be read: check the ",
        ),
    ],
)
async def test_an_everyday_mistake_gets_the_sentence_that_helps(
    server: World, kind: str, body: bytes, told: str
) -> None:
    answer = await post(server, body, kind=kind)
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (400, "text/plain")
    assert answer.body.decode().startswith(MALFORMED + told)
    assert b"made-up-secret" not in answer.body
