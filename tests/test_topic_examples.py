"""Each example for the topic publishes to a running product, as ours would; without its tool it is left out."""

import asyncio
import functools
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from test_cli import audience
from tools import REQUIRED, is_left_out, needs
from world import ALL, World, world

from audience import AudiencePublisher
from cli.pages.schemas import names, releases
from schemas.avro.fingerprints import fingerprints
from schemas.avro.framing import schema_json
from schemas.records import BatchCompletion
from streams.client.settings import KafkaSettings

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "examples" / "topic"
CACHE = ROOT / ".data" / "examples"
"""Where packages of the examples stay, so that they are fetched once for each version."""

LIMIT = 240.0
"""Seconds for one step on a busy machine, packages and compiling included."""

pytestmark = pytest.mark.timeout(2 * LIMIT)

PEOPLE = {("ada@example.com",), ("soren@example.com",)}

EXAMPLES: Sequence[tuple[str, str, str, list[str]]] = (
    ("fastavro", ".", sys.executable, [sys.executable, "publish_fastavro.py"]),
    ("avro", ".", sys.executable, [sys.executable, "publish_avro.py"]),
    ("Node", "node", "npm", ["node", "publish.mjs"]),
    ("Java", "java", "mvn", ["java", "-cp", "lib/*", "Publish.java"]),
    ("Go", "go", "go", ["go", "run", "./publish"]),
    ("kcat", ".", "kcat", ["sh", "kcat.sh"]),
)
"""The end of the audience's name, the folder, the tool that it needs, and its command."""

READERS: Sequence[tuple[str, str, list[str]]] = (
    ("node", "npm", ["node", "completions.mjs"]),
    ("java", "mvn", ["java", "-cp", "lib/*", "Completions.java"]),
    ("go", "go", ["go", "run", "./completions"]),
)

PACKAGES = {
    "node": ["npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"],
    "java": ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"],
}
"""How the packages of a folder are fetched, by the ordinary client and pinned."""


RUN = [pytest.param(*example, id=example[0], marks=needs(example[2])) for example in EXAMPLES]
READ = [pytest.param(*reader, id=reader[0], marks=needs(reader[1])) for reader in READERS]


@functools.cache
def prepared(folder: str) -> Path:
    """Return a copy of a folder with its packages."""
    copy = CACHE / folder
    shutil.copytree(FOLDER / folder, copy, dirs_exist_ok=True)
    pinned = "".join(
        path.read_text() for path in sorted(copy.glob("*")) if path.name in ("package-lock.json", "pom.xml")
    )
    done = copy / "fetched"
    if not done.exists() or done.read_text() != pinned:
        subprocess.run(PACKAGES[folder], cwd=copy, check=True, timeout=LIMIT)
        done.write_text(pinned)
    return copy


async def folder_of(name: str) -> Path:
    """Return where an example runs: fetched packages must not come among the files of this repository."""
    return await asyncio.to_thread(prepared, name) if name in PACKAGES else FOLDER / name


async def run(folder: str, command: list[str], **environ: str) -> list[str]:
    """Run an example to its end; return the lines of its output."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=await folder_of(folder),
        env={**os.environ, "PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), LIMIT)
    assert process.returncode == 0, output.decode() + errors.decode()
    return (output + errors).decode().splitlines()


@pytest.fixture(scope="module")
async def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas, as a person has them printed."""
    folder = tmp_path_factory.mktemp("schemas")
    for name in ("AudienceBatch", "BatchCompletion"):
        code, output, _ = await audience(folder, "schema", name)
        assert code == 0
        (folder / f"{name}.avsc").write_text(output)
    return folder


@pytest.fixture(scope="module")
async def product(kafka: KafkaSettings) -> AsyncIterator[World]:
    """All of it, in this process."""
    async with world(kafka, f"test-{secrets.token_hex(6)}") as found:
        yield found


def fact(lines: Sequence[str], name: str) -> str:
    """Return what a line says that begins with a name."""
    return next(line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} "))


@pytest.mark.parametrize(("ends", "folder", "tool", "command"), RUN)
async def test_an_example_publishes_its_people_where_our_own_writer_would(
    product: World, schemas: Path, tmp_path: Path, ends: str, folder: str, tool: str, command: list[str]
) -> None:
    del tool
    servers, topic = product.kafka.bootstrap_servers, product.names.batches
    lines = await run(folder, command, BOOTSTRAP_SERVERS=servers, TOPIC=topic, SCHEMAS=str(schemas), OUT=str(tmp_path))
    batch = fact(lines, "batch")
    ended = await ends_of(product, batch)
    assert {(one.provider, one.status) for one in ended} == {(provider, "delivered") for provider in ALL}
    assert await product.members("klaviyo", f"blotout_Example_{ends}") == PEOPLE

    (origin,) = {one.origin for one in ended}
    async with AudiencePublisher(product.kafka, prefix=product.names.prefix) as publisher:
        ours = await publisher.publish([{"email": "ada@example.com"}], name=f"Example {ends}")
    assert origin.partition == ours.origins[0].partition
    if ends != "kcat":
        assert fact(lines, "record") == str(origin)


async def ends_of(found: World, batch: str) -> list[BatchCompletion]:
    """Return what the accounts did with a batch, once each has said so."""
    async with asyncio.timeout(60):
        count = 0
        while True:
            ended = [one for one in await found.completions(count) if one.batch_id == batch]
            if len(ended) >= len(ALL):
                return ended
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(("folder", "tool", "command"), READ)
async def test_completions_are_read_in_other_languages(
    product: World, schemas: Path, folder: str, tool: str, command: list[str]
) -> None:
    del tool
    async with AudiencePublisher(product.kafka, prefix=product.names.prefix) as publisher:
        published = await publisher.publish([{"email": "ada@example.com"}, {"email": "none"}], name="Read")
    await ends_of(product, published.batch_id)
    lines = await run(
        folder, command, BOOTSTRAP_SERVERS=product.kafka.bootstrap_servers, TOPIC=product.names.completions,
        SCHEMAS=str(schemas), BATCH=published.batch_id, COUNT="3",
    )  # fmt: skip
    assert sorted(lines) == [f"{provider} partial 1 of 2" for provider in sorted(ALL)]


def test_headers_in_the_examples_are_those_of_our_schemas() -> None:
    for name, files in (
        ("AudienceBatch", ["node/publish.mjs"]),
        ("BatchCompletion", ["node/completions.mjs", "go/completions/main.go"]),
    ):
        mark = (b"\xc3\x01" + fingerprints(schema_json(name))[0]).hex()
        for file in files:
            text = re.sub(r"0x|, ", "", (FOLDER / file).read_text(encoding="utf-8"))
            assert mark in text


def test_a_tool_that_is_not_here_leaves_its_tests_out_unless_it_must_be() -> None:
    assert is_left_out("no-such-tool", {})
    assert is_left_out("no-such-tool", {REQUIRED: "kcat no-such"})
    assert not is_left_out("no-such-tool", {REQUIRED: "kcat no-such-tool"})
    assert not is_left_out("sh", {})


def test_ci_leaves_none_of_these_examples_out() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"export {REQUIRED}=" in script
    tools = {tool for _, _, tool, _ in EXAMPLES} | {tool for _, tool, _ in READERS} | {"node", "java"}
    assert {tool for tool in tools - {sys.executable} if f"[{tool}]=" not in script} == set()


@needs("go")
@pytest.mark.kafka
async def test_hamba_avro_writes_the_third_fingerprint_of_every_schema_before_its_values() -> None:
    """It needs no Kafka, but fetches and compiles, as the quick check does not."""
    files = sorted((ROOT / "schemas").rglob("*.avsc"))
    assert len(files) > len(names())
    lines = await run("go", ["go", "run", str(ROOT / "tests" / "outside" / "marks.go"), *map(str, files)])
    assert lines == [(b"\xc3\x01" + fingerprints(file.read_text())[2]).hex() for file in files]


def test_every_example_is_told_and_run() -> None:
    told = (FOLDER / "README.md").read_text(encoding="utf-8")
    for _, _, _, command in EXAMPLES:
        assert command[-1] in told
    for _, _, command in READERS:
        assert command[-1] in told


async def test_a_schema_is_printed_by_its_name_today_s_or_an_older_one(tmp_path: Path) -> None:
    code, output, _ = await audience(tmp_path, "schema")
    assert (code, [line.split()[0] for line in output.splitlines()]) == (0, names())
    assert await audience(tmp_path, "schema", "AudienceBatch") == (0, schema_json("AudienceBatch"), "")
    for release in releases("BatchCompletion"):
        released = (ROOT / "schemas" / "released" / "BatchCompletion" / f"{release}.avsc").read_text()
        assert await audience(tmp_path, "schema", "BatchCompletion", "--release", str(release)) == (0, released, "")
    code, output, _ = await audience(tmp_path, "schema", "AudienceBatch", "--headers")
    assert [line[:29] for line in output.splitlines()] == [
        "C3 01 45 F7 C8 4A 60 72 C3 31",
        "C3 01 38 74 49 B3 04 20 30 49",
        "C3 01 76 85 C6 EC 68 5C 4C 6A",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["AudienceBatsh"], "there is no such record (did you mean AudienceBatch?); there are AccountLoss, "),
        (["../pyproject"], "there is no such record; there are AccountLoss, "),
        (["AudienceBatch", "--release", "9"], "--release: there are 1 of AudienceBatch"),
        (["--headers"], "name a record: AccountLoss, "),
    ],
)
async def test_a_schema_that_there_is_none_of_is_told_with_the_nearest_one(
    tmp_path: Path, words: list[str], told: str
) -> None:
    code, output, errors = await audience(tmp_path, "schema", *words)
    assert (code, output) == (1, "")
    assert errors.startswith(f"audience schema: {told}")
