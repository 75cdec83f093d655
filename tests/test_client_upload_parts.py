"""What an upload by the client needs no server for: its plan, what is kept of it, and files of rejected rows."""

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_client.columns.mapping import MappingOptions
from audience_client.errors import FileError, InputError
from audience_client.files.options import ReadOptions
from audience_client.upload.options import UploadOptions
from audience_client.upload.plan import MAX_BATCHES, MAX_BYTES, MAX_USERS, make_plan
from audience_client.upload.prepare import Prepared, prepare
from audience_client.upload.rejected_table import ADDED, guarded, unguarded
from audience_client.upload.resuming import (
    KNOWN_FOR,
    UnfinishedUploadError,
    check_unfinished,
    forget_earlier,
    new_state,
    resumable,
)
from audience_client.upload.second_pass import cuts
from audience_client.upload.state import StateError, StateFolder

SERVER = "http://127.0.0.1:1"
PEOPLE = 12


def csv_file(folder: Path, people: int = PEOPLE, name: str = "customers.csv") -> Path:
    path = folder / name
    path.write_text("Email,Phone\n" + "".join(f"p{n}@example.com,+1415555{n:04}\n" for n in range(people)))
    return path


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Prepared]:
    with prepare(csv_file(tmp_path), UploadOptions(name="VIP", batch_size=5)) as found:
        yield found


@given(st.integers(1, MAX_USERS * MAX_BATCHES), st.integers(1, 2000))
def test_a_plan_has_every_user_in_one_batch_and_at_most_500_batches(users: int, user_bytes: int) -> None:
    try:
        plan = make_plan("x.csv", users, None, user_bytes)
    except FileError:
        assert users > MAX_BATCHES * (MAX_BYTES // user_bytes)
        return
    assert plan.total_batches <= MAX_BATCHES
    assert plan.batch_size <= MAX_USERS
    assert plan.batch_size * user_bytes <= MAX_BYTES
    assert plan.batch_size * (plan.total_batches - 1) + plan.users_of(plan.total_batches) == users
    assert 0 < plan.users_of(plan.total_batches) <= plan.batch_size


@pytest.mark.parametrize(
    ("users", "size", "batches"), [(1, 5_000, 1), (5_000, 5_000, 1), (5_001, 5_000, 2), (10_000_000, 20_000, 500)]
)
def test_large_files_get_larger_batches(users: int, size: int, batches: int) -> None:
    plan = make_plan("x.csv", users)
    assert (plan.batch_size, plan.total_batches, plan.total_users) == (size, batches, users)


def test_sizes_that_can_t_be_are_refused_with_one_that_can() -> None:
    with pytest.raises(InputError, match="say 2,000 or more"):
        make_plan("x.csv", 1_000_000, 1_999)
    with pytest.raises(InputError, match="250,000 of such users"):
        make_plan("x.csv", 1_000_000, 250_001)
    with pytest.raises(FileError, match=r"x\.csv: has nobody to upload"):
        make_plan("x.csv", 0)
    with pytest.raises(FileError, match="cut it into several files"):
        make_plan("x.csv", MAX_USERS * MAX_BATCHES + 1)


@pytest.mark.parametrize(
    "wrong", [{"name": ""}, {"name": "\r\n"}, {"name": "x" * 256}, {"lanes": 0}, {"limit": 0}, {"batch_size": 0}]
)
def test_wrong_options_are_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"^--"):
        UploadOptions(**{"name": "VIP", **wrong})  # type: ignore[arg-type] # each is of its own type


def test_a_state_is_whole_for_its_user_alone_and_holds_nobody(prepared: Prepared, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "states" / "uploads")
    state = new_state(prepared, SERVER)
    folder.save(state)
    assert folder.load(state.session_id) == state
    assert folder.all() == [state]
    (file,) = folder.path.iterdir()
    if os.name != "nt":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    content = file.read_bytes()
    assert not any(word in content for word in (b"example.com", b"+1415", b"customers", str(tmp_path).encode()))
    folder.delete(state.session_id)
    assert list(folder.path.iterdir()) == []
    assert folder.load(state.session_id) is None


def test_session_ids_are_numbers_that_json_keeps(prepared: Prepared) -> None:
    ids = {new_state(prepared, SERVER).session_id for _ in range(100)}
    assert len(ids) == 100
    assert all(1 <= session_id < 2**53 for session_id in ids)


def test_a_state_of_another_version_is_refused_and_in_nobody_s_way(prepared: Prepared, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "states")
    state = new_state(prepared, SERVER)
    folder.save(msgspec.structs.replace(state, version=2))
    (folder.path / "7.json").write_text("{")
    assert folder.all() == []
    check_unfinished(prepared, SERVER, folder)
    for session_id in (state.session_id, 7):
        with pytest.raises(StateError, match="no state that this version reads"):
            resumable(prepared, SERVER, folder, session_id)


def test_a_folder_that_can_t_be_written_is_named(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="can't be kept in"):
        StateFolder(tmp_path / "file").save(new_state(prepared, SERVER))


def test_an_upload_that_is_not_finished_is_told_before_another_begins(prepared: Prepared, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "states")
    check_unfinished(prepared, SERVER, folder)
    state = new_state(prepared, SERVER)
    folder.save(state)
    with pytest.raises(UnfinishedUploadError, match="--resume, or begin anew by --new") as refused:
        check_unfinished(prepared, SERVER, folder)
    assert (refused.value.session_id, refused.value.can_resume) == (state.session_id, True)
    assert resumable(prepared, SERVER, folder, None) == state
    check_unfinished(prepared, "http://127.0.0.1:2", folder)
    forget_earlier(prepared, SERVER, folder)
    assert folder.all() == []
    folder.save(msgspec.structs.replace(state, is_in_log=True))
    check_unfinished(prepared, SERVER, folder)


def test_uploads_that_no_server_can_tell_of_any_more_are_forgotten_once_they_were_through(
    prepared: Prepared, tmp_path: Path
) -> None:
    folder = StateFolder(tmp_path / "states")
    state = msgspec.structs.replace(new_state(prepared, SERVER), content="of another file", path="")
    long_ago = state.begun - KNOWN_FOR - timedelta(hours=1)
    folder.save(state)
    folder.save(msgspec.structs.replace(state, session_id=1, begun=long_ago))
    folder.save(msgspec.structs.replace(state, session_id=2, begun=long_ago, is_in_log=True))
    forget_earlier(prepared, SERVER, folder)
    assert {left.session_id for left in folder.all()} == {state.session_id, 1}


def test_what_was_never_begun_is_not_resumed(prepared: Prepared, tmp_path: Path) -> None:
    for session in (None, 7):
        with pytest.raises(InputError, match="--resume: nothing is kept of"):
            resumable(prepared, SERVER, StateFolder(tmp_path / "states"), session)


def test_of_several_uploads_one_must_be_named(prepared: Prepared, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "states")
    states = [new_state(prepared, SERVER) for _ in range(2)]
    for state in states:
        folder.save(state)
    with pytest.raises(InputError, match="say which session"):
        resumable(prepared, SERVER, folder, None)
    assert resumable(prepared, SERVER, folder, states[0].session_id) == states[0]


def other(prepared: Prepared, **changes: object) -> Prepared:
    return replace(prepared, options=replace(prepared.options, **changes))  # type: ignore[arg-type] # of each its own


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "Others"}, "--name has"),
        ({"type": "primary"}, "--type has"),
        ({"mode": "remove"}, "--mode has"),
        ({"channels": ("facebook",)}, "--channels has"),
        ({"disable_prefix": True}, "--disable-prefix has"),
        ({"pull_date": date(2026, 11, 29)}, "--pull-date has"),
        ({"country": "DE"}, "--country has"),
        ({"limit": 7}, "--limit has"),
        ({"country": "DE", "limit": 7}, "--country and --limit have"),
    ],
)
def test_another_option_is_named(prepared: Prepared, tmp_path: Path, changes: dict[str, object], told: str) -> None:
    folder = StateFolder(tmp_path / "states")
    state = new_state(prepared, SERVER)
    folder.save(state)
    with pytest.raises(InputError, match=f"{told} changed since the upload of session {state.session_id} was begun"):
        resumable(other(prepared, **changes), SERVER, folder, state.session_id)


def test_columns_by_which_nobody_agreed_are_named(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("Email,Subscribed,Do not contact\na@example.com,yes,\nb@example.com,,no\n")
    with pytest.raises(FileError, match='nobody agreed by "Subscribed", "Do not contact": all 2 rows were left out'):
        prepare(path, UploadOptions(name="VIP"), mapping=MappingOptions(only_consented=True))


def test_a_changed_file_mapping_or_batch_size_is_named(prepared: Prepared, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "states")
    folder.save(new_state(prepared, SERVER))
    path = tmp_path / "customers.csv"
    options = prepared.options
    with (
        prepare(path, options, mapping=MappingOptions(ignored=("Phone",))) as mapped,
        pytest.raises(InputError, match="the mapping has changed"),
    ):
        resumable(mapped, SERVER, folder, None)
    with pytest.raises(InputError, match="--batch-size has changed"):
        resumable(prepare(path, replace(options, batch_size=6)), SERVER, folder, None)
    assert resumable(prepare(path, replace(options, batch_size=None)), SERVER, folder, None).batch_size == 5
    with path.open("a") as file:
        file.write("p@example.com,\n")
    with prepare(path, options) as changed:
        with pytest.raises(InputError, match="the file has changed"):
            resumable(changed, SERVER, folder, None)
        with pytest.raises(UnfinishedUploadError, match=r"so it can't go on; begin anew by --new$") as refused:
            check_unfinished(changed, SERVER, folder)
        assert not refused.value.can_resume


def test_columns_of_consent_must_be_as_they_were(tmp_path: Path) -> None:
    path, folder = tmp_path / "customers.csv", StateFolder(tmp_path / "states")
    path.write_text("Email,Opt-in,Do not mail\na@example.com,yes,no\n")
    options = UploadOptions(name="VIP")
    with prepare(path, options, mapping=MappingOptions(consents=[("yes", "Opt-in")])) as first:
        folder.save(new_state(first, SERVER))
    again = MappingOptions(consents=[("email-yes", "Opt-in")])
    with prepare(path, options, mapping=again) as other, pytest.raises(InputError, match="what tells of consent has"):
        resumable(other, SERVER, folder, None)
    with prepare(path, options, mapping=MappingOptions(consents=[("yes", "Opt-in")])) as same:
        assert resumable(same, SERVER, folder, None).consents == same.mapping.consents


def test_another_way_of_reading_is_named(prepared: Prepared, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "states")
    for change in ({"reader": 0}, {"total_users": 11}):
        state = msgspec.structs.replace(new_state(prepared, SERVER), **change)
        folder.save(state)
        with pytest.raises(InputError, match="this program's way of reading files has changed"):
            resumable(prepared, SERVER, folder, state.session_id)


def test_a_copy_of_the_file_goes_on_where_the_file_was(prepared: Prepared, tmp_path: Path) -> None:
    folder = StateFolder(tmp_path / "states")
    state = new_state(prepared, SERVER)
    folder.save(state)
    with prepare(csv_file(tmp_path, name="copy.csv"), prepared.options) as copy:
        assert resumable(copy, SERVER, folder, None) == state


def test_batches_are_cut_as_planned_without_those_that_stand(prepared: Prepared) -> None:
    whole = list(cuts(prepared, prepared.plan, frozenset()))
    assert [(cut.sequence, len(cut.batch.rows)) for cut in whole] == [(1, 5), (2, 5), (3, 2)]
    others = list(cuts(prepared, prepared.plan, {2}))
    assert [(cut.sequence, bytes(cut.batch.users), list(cut.batch.rows)) for cut in others] == [
        (cut.sequence, bytes(cut.batch.users), list(cut.batch.rows)) for cut in (whole[0], whole[2])
    ]
    assert list(cuts(prepared, prepared.plan, {1, 2, 3})) == []


@pytest.mark.parametrize("content", ["Email,Phone\nx@example.com,\n", "Email,Phone\n" + "y@example.com,1\n" * 40])
def test_nothing_of_a_file_that_changes_on_the_way_is_handed_on(
    prepared: Prepared, tmp_path: Path, content: str
) -> None:
    found = cuts(prepared, prepared.plan, frozenset())
    assert next(found).sequence == 1
    (tmp_path / "customers.csv").write_text(content)
    with pytest.raises(FileError, match="changed while it was read"):
        next(found)


def test_rows_of_a_program_are_read_as_a_file_is() -> None:
    rows: list[dict[str, object]] = [
        {"Email": "a@example.com", "Phone": 4915112345678, "purchase": {"profit": Decimal("1.50"), "currency": "EUR"}},
        {"Email": "b@example.com", "Phone": None, "Zip": 1067.0, "Joined": datetime(2026, 1, 1, tzinfo=UTC)},
    ]
    with prepare((row for row in rows), UploadOptions(name="VIP")) as prepared:
        (cut,) = cuts(prepared, prepared.plan, frozenset())
        assert msgspec.json.decode(bytes(cut.batch.users)) == [
            {
                "email": "a@example.com",
                "phone": "4915112345678",
                "purchase": {"profit": 1.50, "currency": "EUR"},
            },
            {"email": "b@example.com", "postalCode": "1067"},
        ]
        assert prepared.path == ""


def test_rows_that_are_none_are_refused_without_their_values() -> None:
    options = UploadOptions(name="VIP")
    with pytest.raises(
        FileError, match="the rows, row 2: has a value of the type object; rows are mappings"
    ) as refused:
        prepare([{"email": "a@example.com"}, {"email": object()}], options)
    assert refused.value.__cause__ is None
    with pytest.raises(FileError, match="the rows, row 1: is not such a mapping"):
        prepare([("a@example.com",)], options)  # type: ignore[list-item] # what is wrong
    with pytest.raises(FileError, match="the rows, row 1: has a number that has lost digits"):
        prepare([{"email": "a@example.com", "phone": 4.4e17}], options)
    with pytest.raises(FileError, match=r"the rows: is .* without a customer"):
        prepare([], options)
    with pytest.raises(InputError, match="are of files"):
        prepare([{"email": "a@example.com"}], options, read=ReadOptions(separator=";"))


def test_columns_of_rejected_rows_may_be_moved_and_left_out(tmp_path: Path) -> None:
    path = tmp_path / "rejected.csv"
    path.write_text(f"Phone,{ADDED[3]},Email,{ADDED[0]}\n'+49151123,too_short,a@example.com,2\n")
    with prepare(path, UploadOptions(name="VIP")) as prepared:
        assert prepared.table.columns == ("Phone", "Email")
        (cut,) = cuts(prepared, prepared.plan, frozenset())
        assert msgspec.json.decode(bytes(cut.batch.users)) == [{"email": "a@example.com", "phone": "+49151123"}]


@given(st.text("'=+-@\t\ra1", max_size=6))
def test_guards_of_cells_are_undone_exactly(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell
    assert guarded(cell)[:1] not in set("=+-@\t\r")


def test_a_file_of_rejected_rows_is_the_file_that_it_is_of(tmp_path: Path) -> None:
    path = tmp_path / "rejected.csv"
    added = ",".join(ADDED)
    path.write_text(
        f"\ufeff{added},Email,Phone,=Note\n"
        "2,facebook,phone,too_short,Correct it.,a@example.com,'+49151123,'=1+1\n"
        "7,facebook,phone,too_short,Correct it.,b@example.com,''+49151124,\n",
        encoding="utf-8",
    )
    with prepare(path, UploadOptions(name="VIP")) as prepared:
        assert prepared.table.columns == ("Email", "Phone", "=Note")
        (cut,) = cuts(prepared, prepared.plan, frozenset())
        assert msgspec.json.decode(bytes(cut.batch.users)) == [
            {"email": "a@example.com", "phone": "+49151123"},
            {"email": "b@example.com", "phone": "'+49151124"},
        ]
        assert [list(row) for _, row in prepared.reader.original_rows([2])] == [["a@example.com", "+49151123", "=1+1"]]
        assert prepared.table.samples[0][1] == "+49151123"
