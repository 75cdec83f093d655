"""The README and the pages: their blocks run or say why not, and what they name is there."""

import argparse
import asyncio
import csv
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import certifi
import pytest
from pages import BLOCKS, DOCS, MARK, PAGES, ROOT, Block, spans, tokens
from test_cli import clean_environ, up

from audience_client.command.arguments import add_upload_arguments
from checks.settings_page import settings_page
from cli.commands import MODULES, load_command
from cli.config.listing import check_all
from cli.settings.env_file import read_env_file
from cli.settings.environment import Environment
from cli.settings.unknown_settings import unknown_settings
from ledger.rejected_csv import COLUMNS
from providers.installed import installed
from streams.client.settings import KafkaSettings, is_kafka_variable
from streams.processes.ports import free_port

HERE = "tests/test_docs.py"
COMMANDS = [load_command(name) for name in MODULES]
PROVIDERS = {name.upper() for name in installed()}

PATH = re.compile(
    r"(?:cli|consumer|ledger|producer|providers|sandbox|schemas|streams|tests|checks|examples|docs)/[\w./-]*"
)
VARIABLE = re.compile(r"\b(?:AUDIENCE|KAFKA|FACEBOOK|TIKTOK|KLAVIYO|WEBHOOK|SCHEMA)_[A-Z0-9_]*[A-Z0-9]\b(?!\*)")
NO_SETTINGS = {
    "AUDIENCE_PROVIDER": "an example of a misspelt one",
    "AUDIENCE_PORT": "what Kubernetes sets",
    "AUDIENCE_ID": "a name in Python",
    "FACEBOOK_EU": "how the variables of an account begin",
}
"""What pages name that looks like a setting, and what it is."""


def named(block: Block) -> str:
    """Return what a test of a block is called."""
    return f"{called(block.page)}:{block.line}"


def called(page: Path) -> str:
    """Return what a test of a page is called."""
    return str(page.relative_to(ROOT))


def is_command(name: str) -> bool:
    """Tell whether there is such a command."""
    return any(command.name == name for command in COMMANDS)


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return what takes a command's arguments."""
    parser = argparse.ArgumentParser(prog=f"audience {name}")
    (command,) = (command for command in COMMANDS if command.name == name)
    command.add_arguments(parser)
    return parser


def takes(name: str, words: Sequence[str]) -> bool:
    """Tell whether a command takes these words, or at least has these options: a text may leave out what they need."""
    told = parser_of(name).format_help()
    try:
        parser_of(name).parse_args(words)
    except SystemExit:
        return all(word in told for word in words if word.startswith("--"))
    return True


def check_command(line: str) -> None:
    """Check a line for the shell by what takes it: our own arguments, or the Makefile."""
    words = shlex.split(line.partition(" > ")[0])
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        return
    if words[0] == "audience-upload":
        client = argparse.ArgumentParser(prog=words[0])
        add_upload_arguments(client)
        client.parse_args(words[1:])
        return
    assert words[0] == "audience", f"{line}: say above the block who runs it, or why nobody does"
    assert is_command(words[1]), line
    parser_of(words[1]).parse_args(words[2:])


def check_settings(text: str, folder: Path) -> None:
    """Check that a block is what a `.env` takes, and that each line is a setting with a value that it can have."""
    file = folder / "env"
    file.write_text(text.replace("…", "1").replace("/etc/audience/ca.pem", certifi.where()))
    values = read_env_file(file, is_chosen=True)
    environment = Environment(values, dict.fromkeys(values, "environment"))
    assert list(unknown_settings(environment)) == []
    assert [name for name in values if not is_setting(name)] == []
    check_all(environment)


def check_csv(text: str, folder: Path) -> None:
    """Check that a block is what `audience rejected --csv` prints."""
    del folder
    rows = list(csv.reader(text.splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert {len(row) for row in rows} == {len(COLUMNS)}


def check_shell(text: str, folder: Path) -> None:
    """Check each line for the shell."""
    del folder
    for line in text.splitlines():
        check_command(line)


def check_directive(text: str, folder: Path) -> None:
    """Check that what a page is put together of is there; `make docs` builds it."""
    del folder
    for name in text.rpartition("\n\n")[2].split():
        assert name.startswith(":") or name == "docs/" or (DOCS / f"{name}.md").is_file(), name


CHECKS: Mapping[str, Callable[[str, Path], None]] = {
    "sh": check_shell,
    "env": check_settings,
    "csv": check_csv,
    "{toctree}": check_directive,
    "{include} ../README.md": check_directive,
}


def is_setting(name: str) -> bool:
    """Tell whether a variable stands on the page of settings, also as that of an account such as facebook/eu."""
    shown = set(re.findall(r"^\| `(\S+)` \|", settings_page(), re.MULTILINE))
    provider, *rest = name.split("_")
    fields = ("_".join(rest[cut:]) for cut in range(len(rest)))
    own = (f"{kind}_{field}" for field in fields for kind in (provider, "<NAME>") if provider in PROVIDERS)
    return name in shown or is_kafka_variable(name) or any(one in shown for one in own)


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_a_block_is_checked_or_run_by_a_test_or_says_why_not(block: Block, tmp_path: Path) -> None:
    if block.mark:
        assert MARK.fullmatch(block.mark), f"{block.mark}: name a test that runs it, or a reason"
        if block.test and block.test != HERE:
            assert block.page.name in (ROOT / block.test).read_text(), f"{block.test} does not read the page"
    else:
        assert block.language in CHECKS, "say above the block who runs it, or why nobody does"
        CHECKS[block.language](block.text, tmp_path)


@pytest.mark.parametrize(
    ("text", "language"),
    [("audience rejectd 1\n", "sh"), ("audience status --nonsense\n", "sh"), ("ls\n", "sh"), ("make nonsense\n", "sh")],
)
def test_a_command_that_nothing_takes_is_found(text: str, language: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, SystemExit)):
        CHECKS[language](text, tmp_path)


def test_a_setting_that_is_none_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        check_settings("AUDIENCE_PROVIDER=facebook\n", tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_a_command_within_a_text_is_one_with_these_options(page: Path) -> None:
    for span in spans(page):
        words = span.split()
        if words[:1] == ["audience"] and len(words) > 1 and words[1].islower():
            assert is_command(words[1]), span
            assert takes(words[1], words[2:]), span


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_a_file_of_ours_that_a_page_names_is_there(page: Path) -> None:
    missing = [span for span in spans(page) if PATH.fullmatch(span) and not _is_there(span)]
    assert missing == []


def _is_there(path: str) -> bool:
    """Tell whether there is such a file, folder or module; `docs/_build` is made by `make docs`."""
    whole = ROOT / path
    return whole.exists() or whole.with_suffix(".py").exists() or path.startswith("docs/_build")


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_a_variable_that_a_page_names_is_a_setting(page: Path) -> None:
    named_here = {name for span in spans(page) for name in VARIABLE.findall(span)}
    assert [name for name in named_here - NO_SETTINGS.keys() if not is_setting(name)] == []


def test_the_page_of_settings_is_made_of_the_settings() -> None:
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == settings_page(), "run `make docs`"


def test_a_newcomer_s_page_stays_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_a_link_to_another_site_is_well_formed(page: Path) -> None:
    """Nobody calls them here: see docs/conf.py."""
    for token in tokens(page):
        for child in token.children or ():
            target = str(child.attrs.get("href", ""))
            if "://" in target:
                parts = urlsplit(target)
                assert parts.scheme == "https", target
                assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", parts.netloc), target


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_a_link_to_a_page_leads_to_one(page: Path) -> None:
    """Headings that links lead to are looked up by `make docs`."""
    targets = [str(child.attrs.get("href", "")) for token in tokens(page) for child in token.children or ()]
    local = [target.partition("#")[0] for target in targets if target and "://" not in target]
    assert [target for target in local if target and not (page.parent / target).is_file()] == []


def layers() -> dict[str, list[str]]:
    """Return the floors of each room as import-linter holds them, from the top; under no name those of the rooms."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {one.get("containers", [""])[0]: one["layers"] for one in contracts if "layers" in one}


def test_the_rooms_and_floors_on_the_page_of_architecture_are_those_that_import_linter_holds() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    held = layers()
    rooms = " | ".join(held.pop("")).split(" | ")
    picture = page.partition("```text\n")[2].partition("```")[0]
    assert re.findall(rf"\b(?:{'|'.join(rooms)})\b", picture) == rooms
    told = dict(re.findall(r"^\| `([\w/]+)` \| (\S+ (?:→|·) .*) \|$", page, re.MULTILINE))
    assert told == {room.replace(".", "/"): " → ".join(floors).replace("|", "·") for room, floors in held.items()}


@pytest.mark.parametrize("page", PAGES, ids=called)
def test_a_table_is_a_header_and_a_line_of_dashes_before_its_rows(page: Path) -> None:
    lines = ["", *(ROOT / page).read_text(encoding="utf-8").splitlines(), ""]
    begun = [at for at in range(1, len(lines) - 1) if lines[at].startswith("|") and not lines[at - 1].startswith("|")]
    assert [lines[at] for at in begun if not re.fullmatch(r"\|(?::?-+:?\|)+", lines[at + 1].replace(" ", ""))] == []


def test_the_page_of_rights_says_of_each_command_what_it_needs() -> None:
    page = (DOCS / "cluster.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `audience ([a-z-]+)", page, re.MULTILINE)
    told = [text for text in page.split("\n\n") if re.search(r"need\s+no right: |`audience up` needs those of", text)]
    within = [span.removeprefix("audience ") for text in told for span in re.findall(r"`([^`]+)`", text)]
    assert len(told) == 2
    assert {name for name in (*rows, *within) if is_command(name)} == {command.name for command in COMMANDS}
    assert [name for name in rows if not is_command(name)] == []


PEOPLE = [{"email": "ada@example.com", "phone": "+14155550100"}, {"email": "alan@example.com"}]


@pytest.mark.timeout(300)
async def test_the_commands_of_readme_and_pages_work_beside_a_running_up(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """In the order in which a reader meets them, on ports that are free here; what makes a platform fail comes last."""
    blocks = sorted((block for block in BLOCKS if block.test == HERE), key=lambda block: "faults" in block.text)
    for name in ("users.json", "repaired.json"):
        (tmp_path / name).write_text(json.dumps(PEOPLE))
    (tmp_path / "customers.csv").write_text("E-Mail\nada@example.com\nalan@example.com\n")
    listens = {"127.0.0.1:8080": f"127.0.0.1:{free_port()}", "127.0.0.1:8090": f"127.0.0.1:{free_port()}"}
    chosen = {"AUDIENCE_LISTEN": listens["127.0.0.1:8080"], "AUDIENCE_SANDBOX_LISTEN": listens["127.0.0.1:8090"]}
    async with up(tmp_path, kafka, AUDIENCE_TOPIC_PREFIX=topic_prefix, AUDIENCE_ENV_FILE="", **chosen):
        outputs = {block: await run(block, listens, tmp_path) for block in blocks}
    assert len(outputs) > 10
    first = next(output for block, output in outputs.items() if block.page.name == "README.md")
    assert [result["accepted"] for result in json.loads(first)["results"]] == [2, 2, 2]
    assert (tmp_path / "rejected.csv").read_text().startswith(",".join(COLUMNS))


async def run(block: Block, listens: Mapping[str, str], folder: Path) -> str:
    """Run a block as a reader would paste it; its output, where all of it passed."""
    text = block.text
    for shown, here in listens.items():
        text = text.replace(shown, here)
    text = text.replace("audience rejected 41", "audience rejected 1")  # the session that was uploaded here
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = ("bash", "-e", "-o", "pipefail", "-c", text.replace("curl ", "curl --fail-with-body "))
    process = await asyncio.create_subprocess_exec(
        *((sys.executable, "-c", text) if block.language == "python" else shell), cwd=folder,
        env=clean_environ(folder, PATH=path, AUDIENCE_ENV_FILE=""),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, (text, output.decode(), errors.decode())
    return output.decode()
