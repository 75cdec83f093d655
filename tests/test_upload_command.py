"""`audience upload` and `audience-upload` as their users meet them: real processes, a real server, real terminals."""

import asyncio
import csv
import json
import os
import pty
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from exports import EXPORTS, PEOPLE, Export
from gate import gate_before
from test_cli import clean_environ
from test_client_wrong_files import CASES
from world import World, world

from schemas.avro.codec import decode_audience_batch
from schemas.records import AudienceBatch, AudienceUser
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end

LIMIT = 100.0
SERVER = (sys.executable, "-m", "cli.entry", "upload")
CLIENT = (sys.executable, "-m", "audience_client")
ENTER = "\n"

WRONG = (
    "html saved as csv",
    "a binary workbook",
    "nothing",
    "a header alone",
    "another separator later",
    "an unclosed quote",
    "two header rows",
    "300 columns",
    "text that is neither",
    "two encodings",
    "duplicated headers",
    "one column of something",
    "one column without a header",
    "a cut gzip",
    "a broken line of json",
)
"""Files of which the whole command is run; tests/test_client_wrong_files.py reads all that there are."""


@pytest.fixture(scope="module")
async def product(kafka: KafkaSettings) -> AsyncIterator[World]:
    """All of it, with two platforms."""
    async with world(kafka, f"test-{secrets.token_hex(6)}", providers=("facebook", "klaviyo")) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Ended:
    """What a command said, and how it ended."""

    code: int
    output: str
    errors: str


def environ(folder: Path, **settings: str) -> dict[str, str]:
    """Return an environment in which nothing of other tests is kept."""
    return clean_environ(folder, XDG_STATE_HOME=str(folder / "state"), **settings)


@asynccontextmanager
async def begun(
    folder: Path, *words: str, command: Sequence[str] = CLIENT, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command in a folder while the block is entered."""
    process = await asyncio.create_subprocess_exec(
        *command, *words, cwd=folder, env=environ(folder, **settings),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """Return how a command ends."""
    output, errors = await asyncio.wait_for(process.communicate(), LIMIT)
    return Ended(process.returncode or 0, output.decode(), errors.decode())


async def upload(folder: Path, *words: str, command: Sequence[str] = CLIENT, **settings: str) -> Ended:
    """Run an upload to its end."""
    async with begun(folder, *words, command=command, **settings) as process:
        return await ended(process)


async def batches(product: World, name: str | None = None) -> list[AudienceBatch]:
    """Return what stands in the log, or what of it is for an audience."""
    records = await read_to_end(product.kafka, product.names.batches)
    found = [decode_audience_batch(record.value) for record in records]
    return [batch for batch in found if name in (None, batch.name)]


def file_of(folder: Path, content: str | bytes, name: str = "customers.csv") -> str:
    """Write a file and return its name."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def many(count: int) -> str:
    """Return a list of made-up people."""
    return "email\n" + "".join(f"person{number}@example.com\n" for number in range(count))


def last_line(text: str) -> str:
    """Return the last line of a text."""
    return text.rstrip("\n").rpartition("\n")[2]


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
async def test_an_export_uploads_without_an_option_and_arrives_exactly(
    product: World, tmp_path: Path, export: Export
) -> None:
    file = f"customers{export.suffix}"
    export.write(export, tmp_path / file)
    name = f"Export {export.name}"
    done = await upload(tmp_path, file, "--name", name, "--url", product.url, "--wait", "--json", command=SERVER)
    is_hashed = "email_sha256" in export.fields.values()
    told = json.loads(done.output)
    assert (done.code, told["users"]) == (1 if is_hashed else 0, len(PEOPLE)), done.errors
    accepted = {one["account"]: one["accepted"] for one in told["platforms"]}
    assert accepted == {"facebook": len(PEOPLE), "klaviyo": 0 if is_hashed else len(PEOPLE)}, "Klaviyo takes no hashes"
    meant = msgspec.convert(export.users(), list[AudienceUser])
    (batch,) = await batches(product, name)
    assert list(batch.users) == [msgspec.structs.replace(user) for user in meant]
    assert (batch.total_users, batch.total_batches, batch.sequence) == (len(PEOPLE), 1, 1)
    await product.upload(list(export.users()), "?sync=true", name=f"As JSON {export.name}")
    for provider, count in accepted.items():
        held = await product.members(provider, f"blotout_{name.replace(' ', '_')}")
        assert held == await product.members(provider, f"blotout_As_JSON_{export.name.replace(' ', '_')}")
        assert len(held) >= count
    said = done.output + done.errors
    assert [person.email for person in PEOPLE if person.email in said or person.last in said] == []


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_file_ends_with_2_and_a_sentence_and_nothing_is_sent(
    product: World, tmp_path: Path, case: str
) -> None:
    content, expected = CASES[case]
    file = file_of(tmp_path, content)
    async with gate_before(product.url) as gate:
        done = await upload(tmp_path, file, "--name", "Wrong", "--url", gate.url)
        assert done.code == 2, done.errors
        assert expected.replace("FILE", file) in last_line(done.errors)
        assert "Traceback" not in done.errors
        assert (gate.posts, gate.authorizations) == (0, []), "the server was not even asked"


async def test_an_unclosed_quote_in_row_900_000_ends_with_that_row_and_nothing_is_sent(
    product: World, tmp_path: Path
) -> None:
    rows = [f"p{number}@example.com,Ada\n" for number in range(2, 920_000)]
    rows[900_000 - 2] = '"p@example.com,Ada\n'
    file = file_of(tmp_path, "email,name\n" + "".join(rows))
    done = await upload(tmp_path, file, "--name", "Quote", "--url", product.url)
    assert done.code == 2
    assert f"{file}, row 900,000: a quote opens a cell" in last_line(done.errors)
    assert await batches(product, "Quote") == []


async def test_a_file_in_latin_1_shows_what_it_is_read_as_and_arrives(product: World, tmp_path: Path) -> None:
    file = file_of(tmp_path, "email;Vorname;Nachname\njoerg@example.com;Jörg;Müller\n".encode("latin-1"))
    done = await upload(tmp_path, file, "--name", "Latin", "--url", product.url)
    assert done.code == 0
    assert "not UTF-8 and is read as Windows-1252" in done.errors
    assert "Jörg" not in done.errors, "no terminal, so perhaps a log"
    (batch,) = await batches(product, "Latin")
    assert batch.users[0].first_name == "Jörg"


async def test_of_several_files_each_is_a_session_and_nothing_is_sent_where_one_is_wrong(
    product: World, tmp_path: Path
) -> None:
    first, second = file_of(tmp_path, many(3), "a.csv"), file_of(tmp_path, "E-Mail\nada@example.com\n", "b.csv")
    wrong = file_of(tmp_path, "<html>", "c.csv")
    refused = await upload(tmp_path, first, second, wrong, "--name", "Several", "--url", product.url)
    assert refused.code == 2
    assert await batches(product, "Several") == []
    done = await upload(tmp_path, first, second, "--name", "Several", "--url", product.url, "--wait")
    assert done.code == 0, done.errors
    assert [len(batch.users) for batch in await batches(product, "Several")] == [3, 1]
    assert len({batch.session_id for batch in await batches(product, "Several")}) == 2
    assert len(await product.members("facebook", "blotout_Several")) == 4


async def test_every_option_of_an_audience_reaches_the_log(product: World, tmp_path: Path) -> None:
    file = file_of(tmp_path, "mail_privat;tel;note\nada@example.com;0151 1234567;x\nalan@example.com;;y\n")
    done = await upload(
        tmp_path, file, "--name", "Options", "--type", "primary", "--channels", "klaviyo", "--disable-prefix",
        "--pull-date", "2026-11-28", "--country", "DE", "--limit", "1", "--map", "email=mail_privat",
        "--ignore-column", "note", "--separator", ";", "--encoding", "utf-8", "--url", product.url, "--wait",
        command=SERVER,
    )  # fmt: skip
    assert done.code == 0, done.errors
    (batch,) = await batches(product, "Options")
    assert (batch.type, batch.channels, batch.disable_prefix, str(batch.pull_date)) == (
        "primary", ["klaviyo"], True, "2026-11-28",
    )  # fmt: skip
    assert [(user.email, user.country) for user in batch.users] == [("ada@example.com", "DE")]
    assert len(await product.members("klaviyo", "Options")) == 1


async def test_a_channel_that_the_server_lacks_ends_with_2_before_anything_is_begun(
    product: World, tmp_path: Path
) -> None:
    words = (file_of(tmp_path, many(1)), "--name", "Channel", "--url", product.url, "--channels")
    done = await upload(tmp_path, *words, "facebok")
    assert done.code == 2
    assert last_line(done.errors).endswith('"facebok" is none of the server\'s; there are facebook, klaviyo; '
                                           "is facebook meant?")  # fmt: skip
    assert (await upload(tmp_path, *words, "facebook")).code == 0, "nothing was left of the first try"


async def test_a_pipe_is_uploaded_by_the_client_alone(product: World, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *CLIENT, "-", "--name", "Pipe", cwd=tmp_path, env=environ(tmp_path, AUDIENCE_URL=product.url),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(many(5).encode()), LIMIT)
    assert process.returncode == 0, errors.decode()
    assert output.decode().startswith("standard input: 5 users in 1 batch are in the log, session ")
    assert len((await batches(product, "Pipe"))[0].users) == 5


async def test_the_client_alone_says_where_a_dry_run_is(tmp_path: Path) -> None:
    done = await upload(tmp_path, file_of(tmp_path, many(1)), "--name", "VIP", "--dry-run", command=CLIENT)
    assert done.code == 2
    assert "run `audience upload --dry-run` where the server is installed" in done.errors


async def test_a_dry_run_tells_what_each_account_could_use_and_asks_no_server(tmp_path: Path) -> None:
    file = file_of(tmp_path, "email,phone\nada@example.com,+14155550100\nnobody,\n,12\njo@example.com,0170 1234567\n")
    done = await upload(
        tmp_path, file, "--name", "VIP", "--dry-run", "--provider", "facebook", "--provider", "klaviyo", command=SERVER
    )
    assert done.code == 0, done.errors
    assert ["facebook", "4", "2", "2"] in [line.split() for line in done.output.splitlines()]
    assert "facebook: rejected " in done.output
    assert "email: not_an_email (1)" in done.output
    assert "facebook: usable without phone: not_a_phone (1)" in done.output
    requests = [json.loads(line) for line in done.output.splitlines() if line.startswith("{")]
    assert {request["provider"] for request in requests} == {"facebook", "klaviyo"}
    assert last_line(done.errors) == "Nothing was sent."


async def test_a_dry_run_counts_all_rows_and_shows_the_requests_of_a_few(tmp_path: Path) -> None:
    done = await upload(
        tmp_path, file_of(tmp_path, many(12_000)), "--name", "V", "--dry-run", "--channels", "facebook", command=SERVER
    )
    assert done.code == 0, done.errors
    assert ["facebook", "12,000", "12,000", "0"] in [line.split() for line in done.output.splitlines()]
    (rows,) = [line for line in done.output.splitlines() if "/users" in line]
    assert json.loads(rows)["body"]["session"]["estimated_num_total"] == 3


async def test_our_own_server_s_tokens_are_for_no_other_server(product: World, tmp_path: Path) -> None:
    file = file_of(tmp_path, many(1))
    async with gate_before(product.url) as gate:
        own = {"AUDIENCE_API_TOKENS": "made-up-of-ours", "AUDIENCE_LISTEN": gate.url.removeprefix("http://")}
        words = (file, "--name", "Tokens", "--new")
        for settings, url in (
            (own, ()),
            (own, ("--url", gate.url)),
            ({**own, "AUDIENCE_TOKEN": "made-up-of-theirs"}, ("--url", gate.url)),
        ):
            assert (await upload(tmp_path, *words, *url, command=SERVER, **settings)).code == 0
        assert list(dict.fromkeys(gate.authorizations)) == ["Bearer made-up-of-ours", None, "Bearer made-up-of-theirs"]


async def test_a_wrong_token_or_no_server_ends_with_1_and_says_what_to_do(kafka: KafkaSettings, tmp_path: Path) -> None:
    file = file_of(tmp_path, many(1))
    tokens = {"AUDIENCE_API_TOKENS": "made-up-right"}
    async with world(
        kafka, f"test-{secrets.token_hex(6)}", providers=("facebook",), consuming=(), settings=tokens
    ) as one:
        wrong = await upload(tmp_path, file, "--name", "VIP", "--url", one.url, AUDIENCE_TOKEN="made-up-wrong")
        assert wrong.code == 1
        assert "Authorization" in last_line(wrong.errors) or "token" in last_line(wrong.errors)
        assert "made-up" not in wrong.errors
        assert await batches(one) == []
    away = await upload(tmp_path, file, "--name", "VIP", "--url", one.url)
    assert away.code == 1
    assert one.url in last_line(away.errors)


async def test_rejected_rows_are_written_to_be_corrected_and_uploaded_again(product: World, tmp_path: Path) -> None:
    file = file_of(
        tmp_path,
        "Kunde,E-Mail,Notiz\nK1,ada@example.com,tea\nK2,nobody at all,=1+1\nK3,alan@example.com,\nK4,also nobody,\n",
    )
    words = ("--name", "Rejected", "--url", product.url, "--channels", "facebook", "--rejected")
    done = await upload(tmp_path, file, *words, "out.csv")
    assert done.code == 0, done.errors + done.output
    assert "facebook: rejected email: not_an_email (2)" in done.output
    assert "out.csv: 2 users to be corrected and uploaded again" in done.errors
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as written:
        rows = list(csv.DictReader(written))
    assert [(row["Kunde"], row["E-Mail"]) for row in rows] == [("K2", "nobody at all"), ("K4", "also nobody")]
    assert "'=1+1" in rows[0].values()
    corrected = (tmp_path / "out.csv").read_text(encoding="utf-8-sig").replace("nobody at all", "grace@example.com")
    (tmp_path / "out.csv").write_text(corrected.replace("also nobody", "edsger@example.com"), encoding="utf-8")
    again = await upload(tmp_path, "out.csv", *words, "still.csv")
    assert again.code == 0, again.errors
    assert "not written, as nobody was rejected" in again.errors
    assert len(await product.members("facebook", "blotout_Rejected")) == 4


async def test_where_a_platform_fails_waiting_ends_with_1_and_says_how_far_it_is(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    file = file_of(tmp_path, many(3))
    async with world(kafka, topic_prefix, providers=("facebook",)) as one:
        await one.inject(provider="facebook", fault="auth", calls=1_000)
        done = await upload(tmp_path, file, "--name", "VIP", "--url", one.url, "--wait", "--timeout", "3")
        assert done.code == 1
        assert "It is not over: this is how far it is." in done.output
        await one.clear_faults()
        told = await upload(tmp_path, file, "--name", "VIP", "--url", one.url, "--resume", "--wait")
        assert told.code == 0, told.errors + told.output
        assert "1 batch of it stood there before" in told.output
        assert len(await batches(one)) == 1


async def test_without_a_terminal_nobody_is_asked_what_is_meant(product: World, tmp_path: Path) -> None:
    file = file_of(tmp_path, "Kontakt A,Kontakt B\nada@example.com,alan@example.com\n")
    done = await upload(tmp_path, file, "--name", "Ambiguous", "--url", product.url)
    assert done.code == 2
    assert "several columns may be meant as email" in last_line(done.errors)
    assert await batches(product, "Ambiguous") == []


async def test_a_file_s_name_steers_no_terminal_and_breaks_no_output(product: World, tmp_path: Path) -> None:
    (tmp_path / "odd\x1b[2J\udcff.csv").write_text(many(1))
    done = await upload(tmp_path, "odd\x1b[2J\udcff.csv", "--name", "Odd", "--url", product.url, "--json", "--wait")
    assert done.code == 0, done.errors
    assert "\x1b" not in done.errors + done.output
    assert json.loads(done.output)["file"] == "odd\ufffd[2J\ufffd.csv"


async def test_an_outage_is_waited_for_and_told(product: World, tmp_path: Path) -> None:
    async with gate_before(product.url) as gate:
        gate.refusals = 2
        done = await upload(tmp_path, file_of(tmp_path, many(3)), "--name", "Outage", "--url", gate.url)
    assert done.code == 0
    assert ", next try in " in done.errors
    assert len(await batches(product, "Outage")) == 1


async def interrupt(folder: Path, product: World, name: str, number: int) -> tuple[Ended, Mapping[str, Any]]:
    """Begin an upload of ten batches, and interrupt it while one of them is under way."""
    words = ("--name", name, "--batch-size", "5", "--lanes", "1")
    async with gate_before(product.url) as gate:
        gate.lets_through = 3
        listen = gate.url.removeprefix("http://")
        async with begun(folder, "customers.csv", *words, command=SERVER, AUDIENCE_LISTEN=listen) as process:
            await asyncio.wait_for(gate.held.wait(), LIMIT)
            process.send_signal(number)
            if number != signal.SIGKILL:
                gate.release.set()
            done = await ended(process)
        gate.lets_through = 1 << 30
        gate.release.set()
        resumed = await upload(
            folder, "customers.csv", *words, "--resume", "--wait", "--json",
            command=SERVER, AUDIENCE_LISTEN=listen,
        )  # fmt: skip
        assert resumed.code == 0, resumed.errors
        return done, json.loads(resumed.output)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_what_was_interrupted_goes_on_and_no_batch_is_sent_twice(
    product: World, tmp_path: Path, number: signal.Signals
) -> None:
    file_of(tmp_path, many(50))
    name = f"Interrupted {number.name}"
    done, told = await interrupt(tmp_path, product, name, number)
    if number != signal.SIGKILL:
        assert done.code == 130
        assert "of 50 users are in the log; the same command with --resume sends the others" in done.errors
    assert (told["users"], told["batches"], told["state"]) == (50, 10, "delivered")
    assert sorted(batch.sequence or 0 for batch in await batches(product, name)) == [*range(1, 11)]
    assert len(await product.members("facebook", f"blotout_{name.replace(' ', '_')}")) == 50


async def test_of_several_files_those_that_are_done_are_passed_over_and_those_that_were_not_begun_begin(
    product: World, tmp_path: Path
) -> None:
    files = [file_of(tmp_path, many(count), f"{count}.csv") for count in (3, 50, 4)]
    words = (*files, "--name", "Parts", "--batch-size", "5", "--lanes", "1", "--url")
    async with gate_before(product.url) as gate:
        gate.lets_through = 3
        async with begun(tmp_path, *words, gate.url) as process:
            await asyncio.wait_for(gate.held.wait(), LIMIT)
            process.send_signal(signal.SIGINT)
            gate.release.set()
            assert (await ended(process)).code == 130
        gate.lets_through = 1 << 30
        before = await batches(product, "Parts")
        refused = await upload(tmp_path, *words, gate.url)
        assert refused.code == 2
        assert "50.csv: its upload of " in last_line(refused.errors)
        assert await batches(product, "Parts") == before, "not even what comes before it was sent"
        done = await upload(tmp_path, *words, gate.url, "--resume")
        assert done.code == 0, done.errors
    sizes = {batch.total_users: 0 for batch in await batches(product, "Parts")}
    for batch in await batches(product, "Parts"):
        sizes[batch.total_users] += len(batch.users)
    assert sizes == {3: 3, 50: 50, 4: 4}


class Seat:
    """A person at a terminal: reads what is shown, types answers."""

    def __init__(self, process: asyncio.subprocess.Process, fd: int) -> None:
        self.process = process
        self._fd = fd
        self.shown = ""

    async def reads(self, text: str) -> None:
        """Wait until something is shown."""
        async with asyncio.timeout(LIMIT):
            while text not in self.shown:
                self.shown += (await asyncio.to_thread(os.read, self._fd, 4096)).decode()

    def types(self, text: str) -> None:
        """Type an answer."""
        os.write(self._fd, text.encode())

    async def leaves(self) -> int:
        """Return how the command ends."""
        return await asyncio.wait_for(self.process.wait(), LIMIT)


@asynccontextmanager
async def seat(folder: Path, *words: str, command: Sequence[str] = CLIENT) -> AsyncIterator[Seat]:
    """Run an upload at a terminal."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command, *words, cwd=folder, env=environ(folder), stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Seat(process, ours)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)


@pytest.mark.parametrize("command", [SERVER, CLIENT])
async def test_at_a_terminal_what_is_ambiguous_is_asked_and_so_is_whether_to_send(
    product: World, tmp_path: Path, command: Sequence[str]
) -> None:
    name = f"Asked {'server' if command == SERVER else 'client'}"
    file = file_of(tmp_path, "Kontakt A,Kontakt B\nada@example.com,alan@example.com\n")
    async with seat(tmp_path, file, "--name", name, "--url", product.url, command=command) as person:
        await person.reads("Which one? [1-2, or Enter for none]")
        person.types("7" + ENTER)
        await person.reads("Which one? [1-2, or Enter for none] 7")
        person.types("2" + ENTER)
        await person.reads(f'Add 1 user to "{name}" at facebook, klaviyo, by {product.url}? [Y/n]')
        assert await batches(product, name) == []
        person.types(ENTER)
        assert await person.leaves() == 0
    assert [user.email for batch in await batches(product, name) for user in batch.users] == ["alan@example.com"]


async def test_at_a_terminal_a_no_sends_nothing(product: World, tmp_path: Path) -> None:
    async with seat(tmp_path, file_of(tmp_path, many(2)), "--name", "No", "--url", product.url) as person:
        await person.reads("? [Y/n]")
        person.types("n" + ENTER)
        await person.reads("Nothing was sent.")
        assert await person.leaves() == 1
    assert await batches(product, "No") == []


@pytest.mark.parametrize("command", [SERVER, CLIENT])
async def test_ctrl_c_at_a_question_ends_at_once(product: World, tmp_path: Path, command: Sequence[str]) -> None:
    words = (file_of(tmp_path, many(2)), "--name", "Ctrl-C", "--url", product.url)
    async with seat(tmp_path, *words, command=command) as person:
        await person.reads("? [Y/n]")
        person.process.send_signal(signal.SIGINT)
        await person.reads("Nothing was sent.")
        assert await person.leaves() == 130
    assert await batches(product, "Ctrl-C") == []


async def test_an_upload_that_is_not_finished_is_asked_about_and_an_error_without_a_terminal(
    product: World, tmp_path: Path
) -> None:
    file = file_of(tmp_path, many(50))
    words = ("--name", "Unfinished", "--batch-size", "5", "--lanes", "1", "--url")
    async with gate_before(product.url) as gate:
        gate.lets_through = 3
        async with begun(tmp_path, file, *words, gate.url) as process:
            await asyncio.wait_for(gate.held.wait(), LIMIT)
            process.send_signal(signal.SIGINT)
            gate.release.set()
            assert (await ended(process)).code == 130
        gate.lets_through = 1 << 30
        refused = await upload(tmp_path, file, *words, gate.url)
        assert refused.code == 2
        assert "go on with it by --resume, or begin anew by --new" in last_line(refused.errors)
        async with seat(tmp_path, file, *words, gate.url, "--yes") as person:
            await person.reads("Go on with it? [Y/n]")
            person.types(ENTER)
            assert await person.leaves() == 0
    assert sorted(batch.sequence or 0 for batch in await batches(product, "Unfinished")) == [*range(1, 11)]


async def test_a_removal_that_the_server_can_t_take_yet_waits_and_says_why(product: World, tmp_path: Path) -> None:
    """Here no ledger runs, which has to know removals: that is 503, as another process may still be started."""
    words = ("--name", "VIP", "--url", product.url, "--mode", "remove")
    async with begun(tmp_path, file_of(tmp_path, many(3)), *words) as process, asyncio.timeout(LIMIT):
        assert process.stderr is not None
        errors = ""
        while "takes nothing at the moment" not in errors:
            errors += (await process.stderr.readline()).decode()
        assert "removals" in last_line(errors)
        assert "AUDIENCE_HASH_KEYS" in last_line(errors)
        process.send_signal(signal.SIGINT)
        assert (await ended(process)).code == 130
