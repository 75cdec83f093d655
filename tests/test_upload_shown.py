"""What the upload command takes and shows: options, tables, progress and questions, without a server."""

import argparse
import errno
import io
from pathlib import Path

import pytest

from audience_client.columns.mapping import MappingOptions
from audience_client.columns.resolving import map_columns
from audience_client.command import run
from audience_client.command.arguments import add_upload_arguments
from audience_client.command.choices import check_together, mapping_options, read_options, upload_options
from audience_client.command.mapping_shown import counted, mapping_lines, table_lines
from audience_client.command.outcome_shown import outcome_lines
from audience_client.command.progress_line import ProgressLine, duration, progress_text
from audience_client.command.text_table import table
from audience_client.errors import InputError
from audience_client.files.reading import read_table
from audience_client.http.retry import WaitNotice, Why
from audience_client.upload.outcome import Outcome, PlatformOutcome
from audience_client.upload.progress import Progress

SECRETS = ("lovelace", "ada@example", "14155550100", "müller")


def parsed(*words: str) -> argparse.Namespace:
    """Return what the command takes of these words."""
    parser = argparse.ArgumentParser()
    add_upload_arguments(parser)
    return parser.parse_args(words)


def test_every_option_reaches_the_engine() -> None:
    options = parsed(
        "a.csv", "--name", "VIP", "--type", "primary", "--mode", "remove", "--channels", "facebook, tiktok/eu",
        "--disable-prefix", "--pull-date", "2026-11-28", "--batch-size", "20000", "--lanes", "8", "--limit", "10",
        "--country", "DE", "--encoding", "cp1250", "--separator", "tab", "--sheet", "Kunden",
        "--map", "email=E-Mail privat", "--map", "phone=#4", "--ignore-column", "Note", "--only-consented",
        "--consent", "Opt-in E-Mail", "--consent", "phone-no-at=Do not call", "--consent", "a=b",
    )  # fmt: skip
    said = upload_options(options)
    assert (said.name, said.type, said.mode, said.channels) == ("VIP", "primary", "remove", ("facebook", "tiktok/eu"))
    assert (said.disable_prefix, said.batch_size, said.lanes, said.limit) == (True, 20_000, 8, 10)
    assert (str(said.pull_date), said.country) == ("2026-11-28", "DE")
    read = read_options(options)
    assert (read.encoding, read.separator, read.sheet) == ("cp1250", "tab", "Kunden")
    mapping = mapping_options(options)
    assert mapping.maps == (("email", "E-Mail privat"), ("phone", "#4"))
    assert (mapping.ignored, mapping.only_consented) == (("Note",), True)
    assert mapping.consents == (("yes", "Opt-in E-Mail"), ("phone-no-at", "Do not call"), ("yes", "a=b"))


def test_a_pipe_that_nobody_reads_is_the_same_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it is told as an argument that is not valid."""

    class Unread(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr("sys.stdout", Unread())
    with pytest.raises(BrokenPipeError):
        run._print("ada")


def test_a_column_s_name_may_have_an_equals_sign() -> None:
    assert mapping_options(parsed("a.csv", "--name", "VIP", "--map", "email=a=b")).maps == (("email", "a=b"),)


@pytest.mark.parametrize(
    "words",
    [
        ("--name", ""),
        ("--name", " "),
        ("--pull-date", "2026-02-30"),
        ("--pull-date", "28.11.2026"),
        ("--pull-date", "20261128"),
        ("--batch-size", "0"),
        ("--lanes", "0"),
        ("--lanes", "33"),
        ("--limit", "-1"),
        ("--map", "email"),
        ("--map", "=Mail"),
        ("--map", "email="),
        ("--consent", "no="),
        ("--consent", " "),
        ("--channels", "facebook,,tiktok"),
        ("--timeout", "soon"),
        ("--type", "other"),
        ("--mode", "replace"),
    ],
)
def test_an_option_that_can_t_be_ends_with_2(words: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("a.csv", "--name", "VIP", *words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("a.csv", "--resume", "--new"), "--new: "),
        (("a.csv", "--session", "7"), "--session: "),
        (("a.csv", "--timeout", "7"), "--timeout: "),
        (("a.csv", "./a.csv"), "a file is named twice"),
        (("-", "-"), "a file is named twice"),
        (("a.csv", "b.csv", "--rejected", "out.csv"), "--rejected: writes the rows and columns of one file"),
        (("a.csv", "--rejected", "a.csv"), "--rejected: a.csv is the file that is uploaded"),
        (("a.csv", "--rejected", "none/out.csv"), "--rejected: none/out.csv can't be written"),
        (("a.csv", "--rejected", "."), "--rejected: . can't be written"),
    ],
)
def test_options_that_do_not_go_together_are_told(words: tuple[str, ...], expected: str) -> None:
    with pytest.raises(InputError) as caught:
        check_together(parsed(*words, "--name", "VIP"))
    assert str(caught.value).startswith(expected)
    assert "; " in str(caught.value), "it says what to do"


def shown_of(path: Path, content: str | bytes, options: MappingOptions | None = None) -> list[str]:
    """Return what is shown of a file before anything is sent."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read = read_table(path)
    try:
        mapping = map_columns(read.name, read.columns, read.samples, options or MappingOptions())
        return [*table_lines(read, with_examples=True), *mapping_lines(mapping)]
    finally:
        read.close()


def test_a_mapping_is_shown_with_masked_values_and_what_is_not_used(tmp_path: Path) -> None:
    lines = shown_of(
        tmp_path / "customers.csv",
        "E-Mail,Telefon,Nickname,Newsletter,password_hash\n"
        "ada@example.com,+14155550100,Countess Lovelace,yes,$2y$10$abcdefghijklmnopqrstuv\n",
    )
    text = "\n".join(lines).replace(str(tmp_path), "")
    assert "customers.csv: CSV" in lines[0]
    assert "1 row, 5 columns" in lines[0]
    assert '  email  "E-Mail"   a**@e******.c**' in lines
    assert 'looks like personal data and is not uploaded: "Nickname"' in text
    assert 'consent was not looked at: "Newsletter"' in text
    assert 'never sent, as they hold passwords, keys or cards: "password_hash"' in text
    assert [secret for secret in SECRETS if secret in text.lower()] == []


def test_names_that_a_guess_reads_are_shown_to_their_owner_only(tmp_path: Path) -> None:
    content = "email,name\nada@example.com,Jörg Müller\n".encode("cp1252")
    shown = shown_of(tmp_path / "customers.csv", content)
    assert any('such as "' in line and "Jörg" in line for line in shown)
    read = read_table(tmp_path / "customers.csv")
    assert "Jörg" not in "\n".join(table_lines(read, with_examples=False))
    read.close()


def test_a_column_s_name_steers_no_terminal(tmp_path: Path) -> None:
    shown = shown_of(tmp_path / "customers.csv", "email,Phone \x1b[2J\nada@example.com,+14155550100\n")
    assert "\x1b" not in "\n".join([*table([["a\x1b[2J"]]), *shown])


def test_columns_stand_below_each_other_also_in_wide_letters() -> None:
    assert list(table([["a", "b"], ["東京", "c"], ["xyz", "d"]])) == ["a     b", "東京  c", "xyz   d"]


@pytest.mark.parametrize(
    ("count", "unit", "expected"),
    [(1, "row", "1 row"), (2, "batch", "2 batches"), (1_000, "entry", "1,000 entries"), (0, "line", "0 lines")],
)
def test_things_are_counted_in_words(count: int, unit: str, expected: str) -> None:
    assert counted(count, unit) == expected


def progress(users: int) -> Progress:
    """Return how far an upload of 10,000 users is after ten seconds."""
    return Progress(users=users, total_users=10_000, batches=users // 1_000, total_batches=10, seconds=10.0)


def notice(why: Why = "unreachable") -> WaitNotice:
    """Return that a request is sent again in four seconds."""
    return WaitNotice(why=why, words="no room for it", seconds=4.0, attempt=1, waited=0.0)


def test_progress_tells_share_pace_and_time_to_go() -> None:
    assert progress_text(progress(2_500), has_bar=True) == "[##........] 2,500 of 10,000 (25%), 250 rows/s, 30 s to go"
    assert progress_text(progress(0), has_bar=False) == "0 of 10,000 (0%)"
    assert progress_text(progress(10_000), has_bar=False) == "10,000 of 10,000 (100%), 1,000 rows/s"


def test_progress_tells_what_is_waited_for() -> None:
    assert progress_text(progress(2_500), notice(), has_bar=False) == (
        "2,500 of 10,000 (25%), the server can't be reached, next try in 4 s"
    )
    assert progress_text(None, notice(), has_bar=True) == "the server can't be reached, next try in 4 s"


def test_without_a_terminal_a_line_is_written_now_and_then_and_waiting_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    line = ProgressLine(is_shown=False, clock=lambda: now)
    for now in range(61):
        line.show(progress(now))
    line.wait(notice("no_room"))
    line.wait(notice("no_room"))
    line.wait(notice("proxy"))
    line.show(progress(62))
    line.end()
    told = capsys.readouterr().err.splitlines()
    assert [text.split()[0] for text in told] == ["30", "60", "60", "60", "62"]
    assert "takes nothing" in told[2]
    assert "a proxy" in told[3]


def test_on_a_terminal_one_line_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    now = 0.0
    line = ProgressLine(is_shown=True, clock=lambda: now)
    for step in range(10):
        now = step / 10
        line.show(progress(step))
    line.end()
    told = capsys.readouterr().err
    assert "\n" not in told
    *shown, cleared, end = told.split("\r")[1:]
    assert (cleared, end) == (" " * 39, "")
    assert 2 <= len(shown) <= 5
    assert set(map(len, shown)) == {39}


def test_why_a_server_takes_nothing_is_said_in_its_own_words_once(capsys: pytest.CaptureFixture[str]) -> None:
    line = ProgressLine(is_shown=True)
    for _ in range(3):
        line.wait(notice("no_room"))
    line.end()
    assert capsys.readouterr().err.count("The server says: no room for it\n") == 1
    assert progress_text(None, notice("no_room"), has_bar=False) == (
        "the server takes nothing at the moment (no room for it), next try in 4 s"
    )


@pytest.mark.parametrize(("seconds", "expected"), [(0, "0 s"), (119, "119 s"), (600, "10 min"), (9_000, "2.5 h")])
def test_time_is_told_in_the_unit_that_tells_it_best(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_an_outcome_is_a_row_for_each_platform_and_what_is_wrong_below() -> None:
    facebook = PlatformOutcome(
        account="facebook", state="partial", in_log=1_000, accepted=990, rejected=10, matched=None, open=0,
        reasons={"phone: not_a_phone": 3, "email: not_an_email": 7}, dropped={"phone: digits_lost": 990},
    )  # fmt: skip
    eu = PlatformOutcome(
        account="facebook/eu", state="blocked", in_log=1_000, accepted=0, rejected=0, matched=0, open=4,
        reasons={}, error="token_invalid: The token is not taken. Set another one.",
    )  # fmt: skip
    assert list(outcome_lines(Outcome(state="partial", is_over=True, platforms=(facebook, eu)))) == [
        "platform     state    in the log  accepted  rejected  matched",
        "facebook     partial  1,000       990       10        -",
        "facebook/eu  blocked  1,000       0         0         0",
        "facebook: rejected email: not_an_email (7), phone: not_a_phone (3)",
        "facebook: sent without values that can't be read: phone: digits_lost (990)",
        "facebook/eu: 4 open: those that the platform refuses are still being looked for",
        "facebook/eu: token_invalid: The token is not taken. Set another one.",
    ]


def test_an_outcome_of_nobody_is_told() -> None:
    assert list(outcome_lines(Outcome(state="nobody", is_over=True, platforms=()))) == [
        "nobody: no account takes this audience"
    ]
