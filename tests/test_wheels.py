"""The check of what others install: it finds what is missing, and leaves nothing running."""

import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from checks.wheels.archives import Archives, compare, copy_sources, packages_read, sources_of_packages, top_levels
from checks.wheels.commands import CheckFailedError, clean_environment, run, running
from checks.wheels.installation import CHECK_LOCATIONS, Installation

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as git knows them."""
    folder = tmp_path_factory.mktemp("sources")
    copy_sources(ROOT, folder)
    return folder


def wheel_of(sources: Path, path: Path, *left_out: str) -> Path:
    """Write what the packages hold as a wheel, but for some of it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, _ in sources_of_packages(sources):
            if name not in left_out:
                archive.write(sources / name, name)
    return path


def archives_of(sources: Path, wheel: Path, other: Path) -> Archives:
    """Return archives as `build` does."""
    return Archives(sources=sources, sdist=sources, wheel=wheel, wheel_of_sources=other)


def test_packages_whose_data_is_read_are_found(sources: Path) -> None:
    names = [name for name, _ in sources_of_packages(sources)]
    assert set(packages_read(sources, names)) == {"console", "producer.api_description", "schemas", "streams.local"}
    assert {"schemas/AudienceBatch.avsc", "streams/local/jars.lock", "audience/py.typed"} <= set(names)
    assert {"producer/api_description/page.html.jinja", "producer/api_description/page.css"} <= set(names)
    assert "console/templates/base.html" in names


def test_a_whole_wheel_is_as_it_should_be(sources: Path, tmp_path: Path) -> None:
    wheel = wheel_of(sources, tmp_path / "whole.whl")
    assert "are the sources'" in compare(archives_of(sources, wheel, wheel))


def test_the_client_is_a_package_of_its_own(sources: Path, tmp_path: Path) -> None:
    client = sources / "client"
    assert top_levels(client) == ["audience_client"]
    wheel = wheel_of(client, tmp_path / "client.whl")
    assert "are the sources'" in compare(archives_of(client, wheel, wheel))
    half = wheel_of(client, tmp_path / "half.whl", "audience_client/py.typed")
    with pytest.raises(CheckFailedError, match=r"audience_client/py\.typed: only in the packages"):
        compare(archives_of(client, half, half))


@pytest.mark.parametrize("name", ["streams/local/jars.lock", "schemas/released/AudienceBatch/1.avsc", "cli/entry.py"])
def test_a_file_that_a_wheel_lacks_is_named(sources: Path, tmp_path: Path, name: str) -> None:
    wheel = wheel_of(sources, tmp_path / "half.whl", name)
    with pytest.raises(CheckFailedError, match=f"the wheel differs from the packages:\n{name}: only in the packages"):
        compare(archives_of(sources, wheel, wheel))


def test_an_sdist_that_makes_another_wheel_is_told(sources: Path, tmp_path: Path) -> None:
    half = wheel_of(sources, tmp_path / "half.whl", "cli/entry.py")
    whole = wheel_of(sources, tmp_path / "whole.whl")
    with pytest.raises(CheckFailedError, match=r"cli/entry\.py: only in the wheel of the sources"):
        compare(archives_of(sources, half, whole))


def test_a_package_that_comes_from_a_checkout_is_told(tmp_path: Path) -> None:
    environment = {**clean_environment(tmp_path), "PYTHONPATH": str(ROOT)}
    with pytest.raises(CheckFailedError, match=f"audience comes from {ROOT}"):
        run(
            [sys.executable, "-c", CHECK_LOCATIONS, *top_levels(ROOT)],
            within=tmp_path,
            environment=environment,
            limit=60,
        )


def test_a_schema_that_an_installed_copy_prints_is_that_of_the_sources(sources: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(sources / "schemas", changed / "schemas")
    (changed / "schemas" / "BatchCompletion.avsc").write_text("{}\n")
    wheel = tmp_path / "none.whl"
    whole, other = (
        Installation(
            archives=archives_of(each, wheel, wheel),
            client=wheel,
            venv=Path(sys.prefix),
            empty=tmp_path,
            environment=clean_environment(tmp_path),
        )
        for each in (sources, changed)
    )
    assert "AudienceBatch.avsc" in whole.schemas()
    with pytest.raises(CheckFailedError, match=r"`audience schema BatchCompletion` does not print"):
        other.schemas()


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    script = "sleep 300 & echo $! > child; wait"
    with pytest.raises(CheckFailedError, match="took more than 1 s"):
        run(["/bin/sh", "-c", script], within=tmp_path, environment=dict(os.environ), limit=1)
    wait_for_end(int((tmp_path / "child").read_text()))


def wait_for_end(pid: int) -> None:
    """Wait until a process runs no more; one that nobody has waited for yet does not."""
    deadline = time.monotonic() + 60
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and ") Z " not in stat.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_ends_before_it_is_ready_is_told_with_what_it_said(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "echo no port; exit 3"]
    with (
        pytest.raises(CheckFailedError, match=r"ended with 3 before it was ready\nno port"),
        running(command, within=tmp_path, environment=dict(os.environ), ready="ready", limit=30),
    ):
        pass


HELD = """
import os, sys, time
from pathlib import Path
from checks.wheels.commands import running

environment = {**os.environ, "AUDIENCE_SANDBOX_LISTEN": "127.0.0.1:0"}
command = [sys.executable, "-m", "cli.entry", "sandbox"]
with running(command, within=Path(sys.argv[1]), environment=environment, ready="sandbox listens", limit=60):
    print(os.getpid(), flush=True)
    time.sleep(300)
"""


def test_what_runs_for_a_check_ends_with_it_even_where_that_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HELD, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as check:
        assert check.stdout is not None
        assert int(check.stdout.readline()) == check.pid
        [child] = map(int, Path(f"/proc/{check.pid}/task/{check.pid}/children").read_text().split())
        check.kill()
    wait_for_end(child)
