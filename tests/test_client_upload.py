"""Uploads of files by the client: each batch once, whatever happens on the way, and what became of each row."""

import asyncio
import csv
import json
import os
import re
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from between import Between, standing_between
from processes import killed_in_the_end
from test_replay import recorded
from world import World, world

from audience_client import AsyncClient, Client
from audience_client.errors import FileError, InputError
from audience_client.http.errors import RefusedError, TooLargeError, UnreachableError
from audience_client.http.retry import Retry
from audience_client.upload import resuming
from audience_client.upload.engine import Uploaded, upload
from audience_client.upload.options import UploadOptions
from audience_client.upload.outcome import wait_for_outcome
from audience_client.upload.prepare import Prepared, prepare
from audience_client.upload.progress import Progress
from audience_client.upload.rejected_rows import write_rejected
from audience_client.upload.rejected_table import ADDED
from audience_client.upload.resuming import SplitUploadError, UnfinishedUploadError
from audience_client.upload.state import StateFolder
from schemas.avro.codec import decode_audience_batch
from streams.client.settings import KafkaSettings
from streams.read.tail import read_to_end

ROOT = Path(__file__).parent.parent
PEOPLE = 95
SIZE = 10
BATCHES = 10
QUICK = Retry(give_up_after=30, first_pause=0.01, longest_pause=0.05)


def csv_file(folder: Path, people: int = PEOPLE) -> Path:
    path = folder / "customers.csv"
    path.write_text("Email,Note\n" + "".join(f"p{n}@example.com,x\n" for n in range(people)))
    return path


class Uploads:
    """Uploads of one file through what stands between."""

    def __init__(self, folder: Path, product: World, between: Between, lanes: int = 3) -> None:
        self.product = product
        self.between = between
        self.states = StateFolder(folder / "states")
        self.file = csv_file(folder)
        self.options = UploadOptions(name="VIP", batch_size=SIZE, lanes=lanes)
        self.client = AsyncClient(between.url, retry=QUICK)

    async def run(
        self,
        resume: bool | None = None,
        session: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Uploaded:
        prepared = prepare(self.file, self.options)
        return await upload(
            prepared,
            client=self.client,
            resume=resume,
            session=session,
            state_folder=self.states.path,
            on_progress=on_progress,
        )

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not is_so():
                await asyncio.sleep(0.01)

    async def interrupt_after(self, batches: int) -> None:
        """Begin, and cancel as Ctrl-C does once so many batches are acknowledged; the others are held."""
        self.between.fate = lambda sequence, _: "pass" if sequence <= batches else "hold"
        running = asyncio.create_task(self.run())
        await self.until(lambda: self.between.taken.total() == batches and self.between.in_flight > 0)
        running.cancel()
        await asyncio.sleep(0)
        self.between.let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await running

    async def in_log(self) -> Counter[int | None]:
        """Return how often each sequence stands in the log."""
        records = await read_to_end(self.product.kafka, self.product.names.batches)
        return Counter(decode_audience_batch(record.value).sequence for record in records)

    async def assert_once(self) -> None:
        """Assert that each batch stands in the log once, and each user at the platform."""
        assert await self.in_log() == dict.fromkeys(range(1, BATCHES + 1), 1)
        async with asyncio.timeout(60):
            while len(await self.product.members("klaviyo")) < PEOPLE:
                await asyncio.sleep(0.05)
        assert len(await self.product.members("klaviyo")) == PEOPLE

    async def runs(self, session_id: int) -> int:
        return len((await self.client.session(session_id)).runs)


@pytest.fixture
async def uploads(kafka: KafkaSettings, topic_prefix: str, tmp_path: Path) -> AsyncIterator[Uploads]:
    async with uploading(kafka, topic_prefix, tmp_path) as found:
        yield found


@asynccontextmanager
async def uploading(kafka: KafkaSettings, prefix: str, folder: Path, **settings: object) -> AsyncIterator[Uploads]:
    async with (
        world(kafka, prefix, providers=["klaviyo"], settings=settings) as product,
        standing_between(product.url) as between,
    ):
        found = Uploads(folder, product, between)
        async with found.client:
            yield found


async def test_a_file_arrives_whole_in_lanes_and_its_state_goes_when_all_is_told(uploads: Uploads) -> None:
    told: list[Progress] = []
    uploaded = await uploads.run(on_progress=told.append)
    assert (uploaded.sent, uploaded.stood, uploaded.ignored) == (BATCHES, 0, 0)
    assert uploads.between.came == dict.fromkeys(range(1, BATCHES + 1), 1)
    assert 1 < uploads.between.most_in_flight <= 3
    assert [one.batches for one in told] == list(range(BATCHES + 1))
    assert (told[-1].users, told[-1].total_users, told[-1].seconds_to_go) == (PEOPLE, PEOPLE, 0)
    (state,) = uploads.states.all()
    assert state.is_in_log
    outcome = await wait_for_outcome(uploaded, uploads.client, timeout=60)
    assert outcome.is_success
    (platform,) = outcome.platforms
    assert (platform.account, platform.in_log, platform.accepted, platform.rejected) == ("klaviyo", PEOPLE, PEOPLE, 0)
    uploaded.forget()
    assert uploads.states.all() == []
    await uploads.assert_once()


async def test_nothing_is_sent_of_a_file_that_is_wrong_in_its_last_row(uploads: Uploads, tmp_path: Path) -> None:
    with uploads.file.open("a") as file:
        file.write('"q@example.com,never closed\n')
    with pytest.raises(FileError, match="row 97"):
        await AsyncClient(uploads.between.url).upload(uploads.file, "VIP", state_folder=tmp_path / "states")
    assert (uploads.between.came, uploads.between.asked, uploads.states.all()) == ({}, [], [])


@pytest.mark.parametrize("batches", [0, 1, 4, 9])
async def test_an_interrupted_upload_goes_on_with_what_is_missing(uploads: Uploads, batches: int) -> None:
    await uploads.interrupt_after(batches)
    acknowledged = Counter(uploads.between.taken)
    assert acknowledged.total() < BATCHES or batches == 9
    with pytest.raises(UnfinishedUploadError) as refused:
        await uploads.run()
    uploads.between.came.clear()
    uploads.between.fate = lambda _sequence, _time: "pass"
    uploaded = await uploads.run(resume=True)
    assert uploaded.session_id == refused.value.session_id
    assert uploads.between.came.keys() == set(range(1, BATCHES + 1)) - acknowledged.keys()
    assert (uploaded.stood, uploaded.sent) == (acknowledged.total(), BATCHES - acknowledged.total())
    assert await uploads.runs(uploaded.session_id) == 1
    await uploads.assert_once()


async def test_answers_that_are_lost_and_servers_without_room_do_no_harm(uploads: Uploads) -> None:
    uploads.between.fate = lambda sequence, time: "pass" if time > 2 else "lose" if sequence % 2 else "busy"
    uploaded = await uploads.run()
    assert uploads.between.came == dict.fromkeys(range(1, BATCHES + 1), 3)
    assert await uploads.runs(uploaded.session_id) == 1
    await uploads.assert_once()


async def test_a_refusal_for_good_stops_all_with_the_server_s_words_and_keeps_the_state(uploads: Uploads) -> None:
    uploads.between.fate = lambda sequence, _: "refuse" if sequence == 3 else "pass"
    with pytest.raises(RefusedError, match="made up: refused"):
        await uploads.run()
    assert uploads.between.came[3] == 1
    assert max(uploads.between.came) <= 3 + 3
    uploads.between.fate = lambda _sequence, _time: "pass"
    await uploads.run(resume=True)
    await uploads.assert_once()


async def test_of_an_upload_of_which_the_server_took_nothing_nothing_is_kept(uploads: Uploads) -> None:
    uploads.between.fate = lambda _sequence, _time: "refuse"
    with pytest.raises(RefusedError):
        await uploads.run()
    assert uploads.states.all() == []
    uploads.between.fate = lambda _sequence, _time: "pass"
    await uploads.run()
    await uploads.assert_once()


async def test_an_upload_that_was_stopped_before_anything_went_out_keeps_nothing(uploads: Uploads) -> None:
    with uploads.file.open("a") as file:
        prepared = prepare(uploads.file, uploads.options)
        file.write("late@example.com,x\n")
    with pytest.raises(FileError, match="changed"):
        await upload(prepared, client=uploads.client, state_folder=uploads.states.path)
    assert (uploads.between.came, uploads.states.all()) == ({}, [])


async def test_an_older_server_that_can_t_resume_is_asked_whether_all_stands_in_one_run(uploads: Uploads) -> None:
    uploads.between.is_old = True
    await uploads.interrupt_after(4)
    uploads.between.fate = lambda _sequence, _time: "pass"
    uploaded = await uploads.run(resume=True)
    assert (uploaded.knows_resume, uploaded.state.is_in_log) == (False, True)
    assert await uploads.runs(uploaded.session_id) == 1
    await uploads.assert_once()


async def test_an_upload_that_an_older_server_split_is_no_success(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "SEEN_WITHIN", 1.0)
    async with uploading(kafka, topic_prefix, tmp_path, AUDIENCE_RETRY_WINDOW=0) as uploads:
        uploads.between.is_old = True
        uploads.between.fate = lambda sequence, time: "lose" if (sequence, time) == (5, 1) else "pass"
        with pytest.raises(SplitUploadError, match=r"older .* AUDIENCE_RETRY_WINDOW .* \d of 10 batches .* --new"):
            await uploads.run()
        with pytest.raises(UnfinishedUploadError):
            await uploads.run()
        assert await uploads.in_log() == {**dict.fromkeys(range(1, BATCHES + 1), 1), 5: 2}


async def test_a_server_that_takes_smaller_batches_says_so_and_gets_them(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with uploading(kafka, topic_prefix, tmp_path, AUDIENCE_MAX_USERS=9) as uploads:
        with pytest.raises(TooLargeError, match="9"):
            await uploads.run()
        uploads.options = UploadOptions(name="VIP", batch_size=9)
        assert (await uploads.run()).plan.total_batches == 11


async def test_a_server_that_stays_away_is_told_and_the_upload_goes_on_later(uploads: Uploads) -> None:
    uploads.between.fate = lambda sequence, _: "pass" if sequence < 4 else "busy"
    uploads.client = AsyncClient(uploads.between.url, retry=Retry(give_up_after=0.2, first_pause=0.01))
    with pytest.raises(UnreachableError):
        await uploads.run()
    uploads.between.fate = lambda _sequence, _time: "pass"
    await uploads.run(resume=True)
    await uploads.client.aclose()
    await uploads.assert_once()


async def test_two_who_go_on_with_one_upload_at_once_write_each_batch_once(uploads: Uploads) -> None:
    await uploads.interrupt_after(2)
    uploads.between.fate = lambda _sequence, _time: "pass"
    first, second = await asyncio.gather(uploads.run(resume=True), uploads.run(resume=True))
    assert first.session_id == second.session_id
    assert await uploads.runs(first.session_id) == 1
    await uploads.assert_once()


async def test_begun_anew_an_upload_is_a_session_of_its_own(uploads: Uploads) -> None:
    await uploads.interrupt_after(2)
    (before,) = uploads.states.all()
    uploads.between.fate = lambda _sequence, _time: "pass"
    uploaded = await uploads.run(resume=False)
    assert uploaded.session_id != before.session_id
    assert [state.session_id for state in uploads.states.all()] == [uploaded.session_id]


async def test_what_is_in_the_log_is_not_sent_again_by_whoever_waited_in_vain(uploads: Uploads) -> None:
    uploaded = await uploads.run()
    uploads.between.came.clear()
    again = await uploads.run(resume=True)
    assert (again.session_id, again.sent, again.stood) == (uploaded.session_id, 0, BATCHES)
    assert uploads.between.came == {}


async def test_a_session_that_somebody_else_uses_is_not_gone_on_with(uploads: Uploads) -> None:
    await uploads.interrupt_after(0)
    (state,) = uploads.states.all()
    batch = {"sessionId": state.session_id, "sequence": 8, "totalBatches": BATCHES, "totalUsers": PEOPLE}
    status, _, _ = await uploads.product.upload([{"email": "x@example.com"}], batch=batch)
    assert status in (200, 409)
    if status == 200:
        with pytest.raises(InputError, match=r"batch 8 of session .* is another one"):
            await uploads.run(resume=True)


async def test_a_file_that_changes_on_the_way_is_not_mixed_with_what_it_was(uploads: Uploads) -> None:
    uploads.between.fate = lambda sequence, _: "pass" if sequence == 1 else "hold"
    running = asyncio.create_task(uploads.run())
    await uploads.until(lambda: uploads.between.in_flight == 3)
    uploads.file.write_text(uploads.file.read_text().replace("p90@", "changed@"))
    uploads.between.let_go.set()
    with pytest.raises(FileError, match="changed while it was read"):
        await running
    assert max(uploads.between.came) <= 4
    with pytest.raises(InputError, match="the file has changed since"):
        await uploads.run(resume=True)


@pytest.fixture
def prepared(tmp_path: Path) -> Iterator[Prepared]:
    path = tmp_path / "mixed.csv"
    rows = [f"p{n}@example.com,+1415555{n:04},=note {n}" for n in range(40)]
    for place in (0, 11, 39):
        rows[place] = f"=nobody{place},,+x"
    path.write_text("Email,Phone,Note\n" + "\n".join(rows) + "\n")
    with prepare(path, UploadOptions(name="VIP", batch_size=9)) as found:
        yield found


async def test_rejected_rows_are_the_file_s_own_and_can_be_corrected_and_uploaded(
    prepared: Prepared, kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    out = tmp_path / "rejected.csv"
    async with (
        world(kafka, topic_prefix, providers=["klaviyo", "tiktok"]) as product,
        AsyncClient(product.url) as client,
    ):
        uploaded = await upload(prepared, client=client, state_folder=tmp_path / "states")
        outcome = await wait_for_outcome(uploaded, client, timeout=60)
        assert outcome.is_success
        assert {platform.account: platform.rejected for platform in outcome.platforms} == {"klaviyo": 3, "tiktok": 3}
        found = await write_rejected(uploaded, client, out)
        assert (found.users, found.unlisted) == (3, 0)
        header, *rows = list(csv.reader(out.read_text(encoding="utf-8-sig").splitlines()))
        assert tuple(header) == (*ADDED, "Email", "Phone", "Note")
        assert [row[0] for row in rows] == ["2", "13", "41"]
        assert [row[5:] for row in rows] == [[f"'=nobody{place}", "", "'+x"] for place in (0, 11, 39)]
        assert all(set(row[1].replace(";", ",").split(", ")) == {"klaviyo", "tiktok"} for row in rows)
        assert all(row[2:5] and "email" in row[2] for row in rows)
        out.write_text(
            out.read_text(encoding="utf-8-sig").replace("'=nobody", "somebody").replace(",,", "@example.com,,")
        )
        report = await client.upload(out, "VIP", state_folder=tmp_path / "states", wait=True, wait_timeout=60)
        assert report.outcome is not None
        assert [platform.rejected for platform in report.outcome.platforms] == [0, 0]
        assert len(await product.members("klaviyo")) == 40
        assert list((tmp_path / "states").glob("*.json")) == [tmp_path / "states" / f"{uploaded.session_id}.json"]


async def test_the_file_itself_is_not_replaced_by_its_rejected_rows(prepared: Prepared, tmp_path: Path) -> None:
    uploaded = Uploaded(
        session_id=1,
        prepared=prepared,
        plan=prepared.plan,
        sent=0,
        stood=0,
        ignored=0,
        knows_resume=True,
        state=None,  # type: ignore[arg-type] # not looked at
        folder=StateFolder(tmp_path),
    )
    async with AsyncClient("http://127.0.0.1:1") as client:
        with pytest.raises(InputError, match="is the file that was uploaded"):
            await write_rejected(uploaded, client, tmp_path / "mixed.csv")


async def test_programs_without_asyncio_upload_remove_and_write_rejected_rows(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    states = tmp_path / "states"
    people = [{"email": f"p{n}@example.com"} for n in range(25)] + [{"email": "nobody"}]

    def work(url: str) -> None:
        with Client(url, retry=QUICK) as client:
            report = client.upload(
                people, "VIP", state_folder=states, batch_size=10, rejected=tmp_path / "no.csv", wait_timeout=60
            )
            assert (report.users, report.batches) == (26, 3)
            assert report.rejected is not None
            assert report.rejected.users == 1
            removed = client.remove(people[:5], "VIP", state_folder=states, wait=True, wait_timeout=60)
            assert removed.outcome is not None
            assert removed.outcome.is_success

    async def in_a_notebook(url: str) -> None:
        with Client(url, retry=QUICK) as client:
            again = client.upload(people[:1], "VIP", state_folder=states, wait=True, wait_timeout=60)
            assert again.outcome is not None
            assert again.outcome.is_success

    async with recorded(kafka, topic_prefix, providers=["klaviyo"]) as product:
        await asyncio.to_thread(work, product.url)
        assert len(await product.members("klaviyo")) == 20
        await asyncio.to_thread(asyncio.run, in_a_notebook(product.url))
        assert len(await product.members("klaviyo")) == 21
    assert list(states.iterdir()) == []
    assert "nobody" in (tmp_path / "no.csv").read_text(encoding="utf-8-sig")


async def test_nothing_of_a_user_is_in_what_is_kept_or_said_of_a_refusal(uploads: Uploads) -> None:
    uploads.between.fate = lambda sequence, _: "refuse" if sequence == 2 else "pass"
    with pytest.raises(RefusedError) as refused:
        await uploads.run()
    told = "".join(file.read_text() for file in uploads.states.path.iterdir()) + json.dumps(str(refused.value))
    error: BaseException | None = refused.value
    while error is not None:
        told += repr(error) + repr(error.args)
        error = error.__cause__ or error.__context__
    assert "@example.com" not in told


@pytest.mark.parametrize("batches", [0, 3])
async def test_after_the_retry_window_an_upload_goes_on_in_its_run(
    batches: int, kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """Without a window at all every batch comes later than it."""
    async with uploading(kafka, topic_prefix, tmp_path, AUDIENCE_RETRY_WINDOW=0) as uploads:
        await uploads.interrupt_after(batches)
        (state,) = uploads.states.all()
        uploads.between.fate = lambda _sequence, _time: "pass"
        uploaded = await uploads.run(resume=True)
        assert uploaded.session_id == state.session_id
        assert await uploads.runs(state.session_id) == 1
        await uploads.assert_once()


async def test_answers_that_are_lost_do_no_harm_after_the_retry_window(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with uploading(kafka, topic_prefix, tmp_path, AUDIENCE_RETRY_WINDOW=0) as uploads:
        uploads.between.fate = lambda sequence, time: "pass" if time > 2 else "lose" if sequence % 2 else "busy"
        uploaded = await uploads.run()
        assert uploads.between.came == dict.fromkeys(range(1, BATCHES + 1), 3)
        assert await uploads.runs(uploaded.session_id) == 1
        await uploads.assert_once()


async def test_what_the_server_does_not_tell_yet_is_sent_again_and_written_once(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with uploading(kafka, topic_prefix, tmp_path, AUDIENCE_RETRY_WINDOW=0) as uploads:
        uploaded = await uploads.run()
        uploads.states.save(msgspec.structs.replace(uploaded.state, is_in_log=False))
        uploads.between.came.clear()
        uploads.between.forgets = True
        again = await uploads.run(resume=True)
        assert again.session_id == uploaded.session_id
        assert uploads.between.came == dict.fromkeys(range(1, BATCHES + 1), 1)
        assert await uploads.runs(uploaded.session_id) == 1
        await uploads.assert_once()


async def test_the_example_of_the_client_s_readme_uploads(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    page = (ROOT / "client" / "README.md").read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "client.upload" in block)
    (tmp_path / "customers.csv").write_text("Email\na@example.com\nnobody\n")
    async with world(kafka, topic_prefix, providers=["klaviyo"]) as product:
        environ = {**os.environ, "AUDIENCE_URL": product.url, "PYTHONPATH": str(ROOT / "client")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", example),
            cwd=tmp_path,
            env={**environ, "XDG_STATE_HOME": str(tmp_path / "state")},
            stdout=PIPE,
            stderr=PIPE,
        )
        async with killed_in_the_end(process):
            out, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
    assert out.decode() == "2 users in 1 batches\nklaviyo 1 accepted, 1 rejected\n"
    assert "nobody" in (tmp_path / "rejected.csv").read_text(encoding="utf-8-sig")
    assert list((tmp_path / "state").rglob("*.json")) == []
