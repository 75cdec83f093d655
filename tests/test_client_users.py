"""From a table to users: what is sent is what was counted, in JSON that the server takes, with the numbers of rows."""

import errno
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest

from audience_client.columns.mapping import MappingOptions
from audience_client.columns.resolving import map_columns
from audience_client.errors import FileError
from audience_client.files.reading import read_table
from audience_client.users import encoded_users
from audience_client.users.encoded_users import EncodedUsers
from audience_client.users.user_reader import Counted, UserReader
from producer.request.users_json import parse_users

Sent = list[tuple[int, Mapping[str, object]]]


def reader_of(
    folder: Path,
    content: str,
    *maps: tuple[str, str],
    only_consented: bool = False,
    consents: Sequence[tuple[str, str]] = (),
    country: str | None = None,
    limit: int | None = None,
) -> UserReader:
    """Return the users of a file."""
    path = folder / "customers.csv"
    path.write_text(content, encoding="utf-8", newline="")
    table = read_table(path)
    options = MappingOptions(maps=maps, only_consented=only_consented, consents=consents)
    mapping = map_columns(table.name, table.columns, table.samples, options)
    return UserReader(table, mapping, country=country, limit=limit)


def sent(reader: UserReader, size: int = 3) -> Sent:
    """Return users with the numbers of their rows, after all checks; the server's own parser takes them."""
    counted = reader.count()
    users: Sent = []
    for batch in reader.batches(size):
        made: Sequence[Mapping[str, object]] = msgspec.json.decode(batch.users)
        assert len(made) == len(batch.rows) <= size
        parsed = parse_users(batch.users)
        assert parsed.unknown == ()
        users += zip(batch.rows, made, strict=True)
    assert len(users) == counted.users
    return users


def test_empty_cells_are_no_fields_and_a_row_without_any_is_still_a_user(tmp_path: Path) -> None:
    content = "email,phone,note\nada@example.com,,x\n,,x\n,+14155550100,\n"
    assert sent(reader_of(tmp_path, content)) == [
        (2, {"email": "ada@example.com"}),
        (3, {}),
        (4, {"phone": "+14155550100"}),
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_batches_have_the_size_and_the_order_of_the_file(size: int, tmp_path: Path) -> None:
    content = "email,phone\n" + "".join(f"p{n}@example.com,{n}\n" for n in range(2, 5_002))
    reader = reader_of(tmp_path, content)
    batches = list(reader.batches(size))
    assert {len(batch.rows) for batch in batches[:-1]} <= {size}
    assert [row for batch in batches for row in batch.rows] == list(range(2, 5_002))
    users = [user for batch in batches for user in msgspec.json.decode(batch.users)]
    assert users == [{"email": f"p{n}@example.com", "phone": str(n)} for n in range(2, 5_002)]
    assert reader.count() == Counted(5_000)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1000])
@pytest.mark.parametrize("limit", [0, 1, 4, 5_000, 9_000])
def test_a_limit_is_how_many_are_taken(size: int, limit: int, tmp_path: Path) -> None:
    content = "email,phone\n" + "".join(f"p{n}@example.com,{n}\n" for n in range(5_000))
    assert len(sent(reader_of(tmp_path, content, limit=limit), size)) == min(limit, 5_000)


def test_of_several_columns_the_first_that_is_filled_is_taken(tmp_path: Path) -> None:
    content = (
        "email,email,Phone,Default Address Phone\n  ,b@example.com,,2\na@example.com,b@example.com,1,2\n,,,\n ,,x,\n"
    )
    assert sent(reader_of(tmp_path, content)) == [
        (2, {"email": "b@example.com", "phone": "2"}),
        (3, {"email": "a@example.com", "phone": "1"}),
        (5, {"phone": "x"}),
    ]


def test_names_are_split_for_those_who_have_none_in_columns_of_their_own(tmp_path: Path) -> None:
    header = "email,Name,First Name,Last Name\n"
    content = header + 'a@example.com,Ada Lovelace,,\nb@example.com,X Y,Alan,\nc@example.com,"Hopper, G",,\n'
    assert sent(reader_of(tmp_path, content, ("name", "Name"))) == [
        (2, {"email": "a@example.com", "firstName": "Ada", "lastName": "Lovelace"}),
        (3, {"email": "b@example.com", "firstName": "Alan"}),
        (4, {"email": "c@example.com", "firstName": "G", "lastName": "Hopper"}),
    ]
    content = "email,Name\na@example.com,Ada Lovelace\n"
    assert sent(reader_of(tmp_path, content, ("name", "Name")))[0][1]["lastName"] == "Lovelace"


def test_a_country_can_be_said_for_those_who_have_none(tmp_path: Path) -> None:
    content = "email,country\na@example.com,\nb@example.com,US\n"
    assert [user["country"] for _, user in sent(reader_of(tmp_path, content, country="DE"))] == ["DE", "US"]
    content = "email,phone\na@example.com,1\n"
    assert sent(reader_of(tmp_path, content, country="DE")) == [
        (2, {"email": "a@example.com", "phone": "1", "country": "DE"})
    ]


def test_amounts_are_numbers_with_the_digits_of_the_file(tmp_path: Path) -> None:
    content = "email,profit,total7Days,currency\na@example.com,012.50,,EUR\nb@example.com,,,EUR\nc@example.com,-.5,0,\n"
    with pytest.raises(FileError, match='row 4: the cell in "profit" is no plain number'):
        sent(reader_of(tmp_path, content))
    reader = reader_of(tmp_path, content.replace("-.5", "-00.5"))
    assert [user.get("purchase") for _, user in sent(reader)] == [
        {"currency": "EUR", "profit": 12.5},
        None,
        {"profit": -0.5, "total7Days": 0},
    ]
    assert b'"profit":12.50' in next(iter(reader.batches(9))).users


@pytest.mark.parametrize("amount", ['"1,234.50"', "$5", "1e3", "5 €", "1.2.3", "--1"])
def test_an_amount_that_may_mean_two_things_is_refused_by_row(amount: str, tmp_path: Path) -> None:
    reader = reader_of(tmp_path, f"email,profit\na@example.com,1\nb@example.com,{amount}\n")
    with pytest.raises(FileError, match=r"row 3: .* is no plain number") as caught:
        reader.count()
    assert amount.strip('"') not in str(caught.value)


def test_only_who_agreed_is_taken_and_by_what_they_agreed_to(tmp_path: Path) -> None:
    content = (
        "email,phone,Accepts Email Marketing,Accepts SMS Marketing\n"
        "a@example.com,1,yes,yes\n"
        "b@example.com,2,YES,no\n"
        "c@example.com,3,no,yes\n"
        "d@example.com,4,no,no\n"
        "e@example.com,5,perhaps,\n"
        ",6,yes,no\n"
    )
    reader = reader_of(tmp_path, content, only_consented=True)
    assert sent(reader) == [
        (2, {"email": "a@example.com", "phone": "1"}),
        (3, {"email": "b@example.com"}),
        (4, {"phone": "3"}),
    ]
    assert reader.count() == Counted(3, not_consented=3)
    assert len(sent(reader_of(tmp_path, content))) == 6


@pytest.mark.parametrize(
    ("header", "word", "is_taken"),
    [
        ("Newsletter", "1", True),
        ("Newsletter", "0", False),
        ("Email Marketing Consent", "SUBSCRIBED", True),
        ("Email Marketing Consent", "NEVER_SUBSCRIBED", False),
        ("Email subscriber status", "Not subscribed", False),
        ("Accepts Marketing", "true", True),
        ("HasOptedOutOfEmail", "false", True),
        ("HasOptedOutOfEmail", "true", False),
        ("HasOptedOutOfEmail", "", False),
        ("Einwilligung", "Ja", True),
    ],
)
def test_words_of_consent_are_known_and_no_other_means_yes(
    header: str, word: str, is_taken: bool, tmp_path: Path
) -> None:
    reader = reader_of(tmp_path, f"email,phone,{header}\na@example.com,1,{word}\n", only_consented=True)
    assert reader.count() == Counted(int(is_taken), int(not is_taken))
    assert len(list(reader.batches(5))) == int(is_taken)


def test_each_channel_goes_by_its_own_named_columns(tmp_path: Path) -> None:
    content = (
        "email,phone,Opt-in E-Mail,No calls\n"
        "a@example.com,1,ja,nein\n"
        "b@example.com,2,nein,nein\n"
        "c@example.com,3,ja,ja\n"
        "d@example.com,4,,ja\n"
    )
    said = [("email-yes", "Opt-in E-Mail"), ("phone-no", "No calls")]
    reader = reader_of(tmp_path, content, consents=said)
    assert sent(reader) == [
        (2, {"email": "a@example.com", "phone": "1"}),
        (3, {"phone": "2"}),
        (4, {"email": "c@example.com"}),
    ]
    assert reader.count().not_consented == 1


@pytest.mark.parametrize(
    ("content", "closing"),
    [
        ("email,orders,spent\na@example.com,1,5\nTotal,,15\n", (3,)),
        ("firstname,email,spent\nAda,a@example.com,5\nTotal,,15\n", (3,)),
        ("firstname,email,spent\nAda,a@example.com,5\n,,15\nGrand total,,15\n", (3, 4)),
        ("email,zip\na@example.com,94107\nSumme:,2\n", (3,)),
        ("phone,email\n+14155550100,\nExported by Tool on 2026-01-01 10:00,\n", (3,)),
        ("phone,email\n+14155550100,\nGenerated 01/02/2026,\n\n", (3,)),
        ("email,phone\na@example.com,\n(1 row affected),\n", (3,)),
        ("email,phone\nTotal,2\na@example.com,\n", ()),
        ("firstname,email\nAda,a@example.com\nGrace,\n", ()),
        ("email,firstname\na@example.com,Ada\ngrace at example.com,Grace\n", ()),
        ("email,phone\na@example.com,\nTotal,+14155550100\n", ()),
        (f"email,phone\na@example.com,\n{'a' * 64},\n", ()),
    ],
)
def test_totals_and_notes_at_the_end_of_a_file_are_no_users(
    content: str, closing: tuple[int, ...], tmp_path: Path
) -> None:
    reader = reader_of(tmp_path, content)
    assert reader.count().closing_rows == closing
    assert not {number for number, _ in sent(reader)} & set(closing)


def test_a_total_at_the_end_of_a_long_file_or_of_a_block_is_no_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audience_client.files.text.encodings.BLOCK", 64)
    rows = "".join(f"p{number}@example.com,1\n" for number in range(300))
    reader = reader_of(tmp_path, f"email,spent\n{rows}Total,300\n,\n")
    assert (reader.count().users, reader.count().closing_rows) == (300, (302,))
    assert len(sent(reader)) == 300


def test_lines_of_one_customer_are_one_user_with_the_first_number(tmp_path: Path) -> None:
    content = (
        "email,firstname,_address_postcode,_address_country_id\n"
        "a@example.com,Ada,,GB\n"
        ",,SW1A,US\n"
        ",,99999,US\n"
        "b@example.com,Alan,,\n"
        ",Nobody,1,\n"
    )
    reader = reader_of(tmp_path, content)
    assert sent(reader) == [
        (2, {"email": "a@example.com", "firstName": "Ada", "postalCode": "SW1A", "country": "GB"}),
        (5, {"email": "b@example.com", "firstName": "Alan"}),
        (6, {"firstName": "Nobody", "postalCode": "1"}),
    ]
    assert [number for number, _ in reader.original_rows([2])] == [2, 3, 4]


def test_rejected_rows_can_be_written_back_as_they_were(tmp_path: Path) -> None:
    content = 'email,note,id\na@example.com,"x, y",007\nb@example.com,,8\n\nc@example.com,"""q""",9\n'
    reader = reader_of(tmp_path, content)
    assert [(number, list(row)) for number, row in reader.original_rows([5, 2])] == [
        (2, ["a@example.com", "x, y", "007"]),
        (5, ["c@example.com", '"q"', "9"]),
    ]


def test_letters_of_all_scripts_and_controls_are_json(tmp_path: Path) -> None:
    content = 'email,firstName,lastName\na@example.com,"J""ö\\rg\n\t",美咲😀\x01\n'
    assert sent(reader_of(tmp_path, content)) == [
        (2, {"email": "a@example.com", "firstName": 'J"ö\\rg\n\t', "lastName": "美咲😀\x01"})
    ]


@pytest.mark.parametrize("members", [[b"1"], [b"1,2", b"3"], [b"1", b"2" * 40, b"3" * 5]])
def test_users_of_a_batch_are_read_as_often_as_needed_wherever_they_lie(
    members: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded_users, "HELD", 20)
    users = EncodedUsers("customers.csv")
    for some in members:
        users.add(some)
    users.finish()
    expected = b"[" + b",".join(members) + b"]"
    with users.open() as first, users.open() as second:
        assert (first.read(3), second.read()) == (expected[:3], expected)
        assert first.read() == expected[3:]
    assert (bytes(users), len(users)) == (expected, len(expected))
    users.close()


def test_a_batch_for_which_there_is_no_room_on_the_disk_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> BinaryIO:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(encoded_users, "HELD", 20)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full())
    with pytest.raises(FileError, match=r"customers\.csv: can't be kept in .*No space left.*TMPDIR"):
        EncodedUsers("customers.csv").add(b"1" * 40)
