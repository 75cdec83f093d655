"""The benchmark of the whole: its sink counts what comes, answers as the platforms do, and its sums are right."""

import argparse
import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from benchmarks.__main__ import main
from benchmarks.whole import held
from benchmarks.whole.command import Options, add_options, options_of
from benchmarks.whole.people import upload, users_json
from benchmarks.whole.report import flatness, report
from benchmarks.whole.run import Load, Measured
from benchmarks.whole.sink import Counts, MarkCounter, serve
from benchmarks.whole.trees import PROVIDERS, Tree
from benchmarks.whole.usage import TICKS, Stat, bound_by, parse_stat, seconds_of
from producer.request.users_json import parse_users
from providers.installed import installed, open_account, open_session
from providers.kit.rate_limiter import Pace
from providers.kit.rows.rows_per_call import group_rows
from providers.kit.rows.users_to_rows import make_rows
from providers.kit.settings import account_values
from sandbox import CREDENTIALS
from schemas.target import Target


@asynccontextmanager
async def sink() -> AsyncIterator[tuple[str, Counts]]:
    counts = Counts()
    async with await serve(counts) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", counts


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("is_untidy", [False, True])
async def test_a_provider_takes_the_sink_s_answers_for_success_and_the_sink_counts_its_rows(
    name: str, is_untidy: bool
) -> None:
    kind = installed()[name]
    users = parse_users(users_json(range(2_345), is_untidy=is_untidy)).users
    async with sink() as (url, counts):
        values = {**CREDENTIALS[name], f"{name.upper()}_BASE_URL": f"{url}/{name}"}
        settings = kind.settings_type.model_validate(account_values(kind.settings_type, Target(name), values))
        async with open_session(settings) as session:
            provider = open_account(kind, settings, session, Pace({}))
            assert await provider.find_audience("VIP") is None
            audience = await provider.create_audience("VIP", "custom")
            *_, made = make_rows(provider, enumerate(users))
            for group in group_rows(made, provider.limits):
                sent = await provider.send(audience, group.rows)
                assert not sent.rejected
                assert not sent.unplaced
    assert counts.rows[name] == 2_345
    assert not counts.unknown


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_a_mark_is_counted_wherever_a_body_is_cut(size: int) -> None:
    body = b'{"data":[["a"],["b"],["c"]]}],[' * 3
    counter = MarkCounter(b"],[")
    for start in range(0, len(body), size):
        counter.take(body[start : start + size])
    assert counter.found == body.count(b"],[") == 9


async def raw(url: str, *pieces: bytes) -> bytes:
    """Send bytes as they are; return what comes until the sink has no more to say."""
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


async def test_the_sink_answers_calls_that_come_in_one_piece_or_byte_by_byte() -> None:
    call = (
        b"POST /facebook/v26.0/1/users HTTP/1.1\r\nHost: x\r\nContent-Length: 19\r\n\r\n" + b'{"d":[["a"],["bc"]]}'[:19]
    )
    async with sink() as (url, counts):
        assert (await raw(url, call + call)).count(b"200 OK") == 2
        assert (await raw(url, *(bytes([byte]) for byte in call))).count(b"200 OK") == 1
        assert counts.rows == {"facebook": 6}
        assert counts.calls == {"facebook": 3}


@pytest.mark.parametrize(
    "call",
    [
        b"POST /facebook/v26.0/1/users HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /tiktok/elsewhere HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"x" * 70_000,
    ],
)
async def test_what_the_sink_can_t_count_is_told(call: bytes) -> None:
    async with sink() as (url, counts):
        await raw(url, call)
        assert counts.unknown == 1
        async with aiohttp.ClientSession() as session, session.get(f"{url}/") as response:
            assert msgspec.json.decode(await response.read(), type=Counts) == counts


@pytest.mark.parametrize("is_untidy", [False, True])
def test_made_up_customers_each_have_an_address_and_a_number_of_their_own(is_untidy: bool) -> None:
    encoded = users_json(range(15_000), is_untidy=is_untidy)
    users = parse_users(encoded).users
    for values in (
        [user.email for user in users],
        [user.phone for user in users],
        [user.edge_tag_id for user in users],
    ):
        assert len(set(values)) == 15_000
    assert 200 < len(encoded) / 15_000 < 300


def test_an_upload_ends_as_it_should_and_has_its_users_once() -> None:
    body = upload("{}", b"[]")
    assert body.count(b"\r\n\r\n[]\r\n--") == 1
    assert body.endswith(b"--\r\n")


def test_processor_time_is_that_of_a_session_s_processes_and_their_ended_children() -> None:
    line = "7 (a ) name) S 1 7 70 0 -1 4194304 9 9 9 9 {} 20 0 5 0"
    mine = parse_stat(line.format("100 50 30 20"))
    assert mine == Stat(7, 70, 200 / TICKS)
    others = [Stat(8, 70, 1.5), Stat(9, 71, 9.0)]
    assert seconds_of({"ledger": 70, "gone": 72}, [mine, *others]) == {"ledger": 200 / TICKS + 1.5, "gone": 0.0}


def test_a_stretch_is_bound_by_all_cores_or_by_one_process_or_by_no_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.whole.usage.CORES", 4)
    used = {"ledger": 0.1, "consumer klaviyo": 0.95}
    assert bound_by(used, 3.9, 1.0) == "all 4 cores busy"
    assert bound_by(used, 1.5, 1.0) == "consumer klaviyo at a core"
    assert bound_by(used, 1.5, 2.0) == "no processor"


def measured(*, users: int = 100, seconds: float = 1.0, rows: int = 100, unknown: int = 0) -> Measured:
    return Measured(
        users=users,
        took=2.0,
        ours={"ingestion": 0.25 * seconds, "ledger": 0.75 * seconds},
        others={"kafka": 1.0},
        peaks={"ingestion": 100_000_000, "ledger": 50_000_000},
        rows=dict.fromkeys(PROVIDERS, rows),
        unknown=unknown,
        bounds=Counter({"no processor": 3, "ledger at a core": 1}),
    )


def test_a_run_is_right_if_the_sink_has_each_user_once_and_was_asked_for_nothing_else() -> None:
    assert measured().is_right
    assert not measured(rows=99).is_right
    assert not measured(rows=101).is_right
    assert not measured(unknown=1).is_right


def test_pairs_are_compared_pair_by_pair_and_their_spread_is_told() -> None:
    runs = {"now": [measured(seconds=1), measured(seconds=2)], "before": [measured(seconds=3), measured(seconds=4)]}
    lines = list(report(Load(users=100), runs))
    [total] = [line for line in lines if "all of ours" in line]
    assert total.split() == ["all", "of", "ours", "15000.00", "35000.00", "100%", "x2.50", "(2.00", "to", "3.00)"]
    assert any("now: 50 users/s (50 to 50); bound by no processor 75%, ledger at a core 25%" in line for line in lines)


def test_without_another_tree_only_this_one_is_shown() -> None:
    lines = list(report(Load(users=100), {"now": [measured(rows=7, unknown=2)]}))
    assert not any("before" in line for line in lines)
    assert any("facebook 7, tiktok 7, klaviyo 7 rows of 100 users each, and 2 calls" in line for line in lines)


def test_the_callback_of_most_processor_time_is_told_for_each_event_loop() -> None:
    run = measured()
    run.held = {"ledger": ["9.0 0.5 0.004 0.0 a to b", "9.1 0.02 0.010 0.008 b to c", "9.2 0.009 0.006 0 c to d"]}
    [line] = [line for line in report(Load(users=100), {"now": [run]}) if " in b to c" in line]
    assert line.split()[:4] == ["ledger", "10.0", "ms", "of"]
    assert line.endswith("8.0 ms of collecting, 20.0 ms by the clock in b to c; 2")


def test_a_user_s_cost_is_flat_within_ten_percent() -> None:
    few, many = [measured(seconds=1)], [measured(seconds=1.19)]
    assert "flat" in flatness({100: few, 200: many})
    assert "NOT flat" not in flatness({100: few, 200: many})
    assert "NOT flat" in flatness({100: few, 200: [measured(seconds=1.3)]})


def parsed(*arguments: str) -> Options:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return options_of(parser.parse_args(arguments))


def test_options_name_several_numbers_of_users_and_another_tree() -> None:
    assert parsed() == Options()
    several = parsed("--users", "300_000,1000000", "--untidy", "--before", "there", "--pairs", "3", "--held")
    assert several == Options(users=(300_000, 1_000_000), is_untidy=True, before=Path("there"), pairs=3, watch=True)


@pytest.mark.parametrize("users", ["0", "-1", "many", "9000000", ""])
def test_numbers_of_users_that_can_t_be_are_refused(users: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        parsed("--users", users)


def test_another_tree_without_an_environment_of_its_own_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="install that checkout"):
        Tree.before(tmp_path)


def test_a_benchmark_that_there_is_not_is_told() -> None:
    with pytest.raises(SystemExit, match=r"there is no hole; there are ingest, .*, whole"):
        main(["hole"])


@pytest.mark.parametrize("option", ["--users", "--pairs"])
def test_what_is_no_number_is_told_in_words_of_the_command(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parsed(option, "many")
    assert f"argument {option}: expected a number from 1" in capsys.readouterr().err


@pytest.mark.parametrize("names", [["whole"], []])
def test_a_checkout_that_can_t_run_is_told_before_anything_is_measured(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*names, "--before", str(tmp_path)])
    told = capsys.readouterr()
    assert not told.out
    assert f"--before: {tmp_path}/.venv/bin/python is missing" in told.err


def test_a_run_beside_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["whole", "--together"])
    assert "argument --together: there is nothing to run beside" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--untidy"], ["--users", "5"], ["--before", "there"], ["--together"]])
def test_options_of_the_whole_are_not_ignored_beside_other_names(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["codec", *options])
    assert "these options are of whole, which is not among the names" in capsys.readouterr().err


def test_what_holds_an_event_loop_is_noted_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import asyncio, time\n"
        "async def held():\n    await asyncio.sleep(0)\n    time.sleep(0.05)\n    await asyncio.sleep(0)\n"
        "asyncio.run(held())\n"
    )
    notes = tmp_path / "notes"
    subprocess.run([sys.executable, held.__file__, notes, "slow"], cwd=tmp_path, check=True, timeout=60)
    longest = max((line.split(" ", 4) for line in notes.read_text().splitlines()), key=lambda line: float(line[1]))
    assert float(longest[1]) >= 0.05
    assert 0 <= float(longest[3]) < float(longest[1])
    assert longest[4] == "held to held"


async def test_the_sink_s_process_ends_with_its_input() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.whole.sink", cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    told, _ = await asyncio.wait_for(process.communicate(b""), 30)
    assert 0 < int(told) < 65_536
    assert process.returncode == 0
