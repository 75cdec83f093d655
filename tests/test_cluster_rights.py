"""The whole path over TLS with SCRAM, by users who may do what docs/cluster.md says and nothing else."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from confluent_kafka import Consumer, Producer
from secure_kafka import PASSWORD, Right, SecureKafka, secure_kafka
from test_cli import audience, clean_environ
from test_pipeline import minimal_record, single_object
from test_refusals import fault
from world import KEYS, make_batch, make_form, make_users, sandbox_running

from sandbox import CREDENTIALS
from streams.processes.ports import free_port

DOCS = (Path(__file__).parent.parent / "docs" / "cluster.md").read_text(encoding="utf-8")

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PROVIDERS = ("facebook", "klaviyo")

SERVE, CONSUME, LEDGER = "audience serve", "audience consume --provider {}", "audience consume --ledger"
PUBLISHER, READER = "your own publisher", "your own reader of completions"


def user_of(who: str) -> str:
    """Return the user that a row of the table is about: a command has one of its own here."""
    return re.sub(r"[^a-z]+", "-", who)


def rights() -> list[Right]:
    """Return what the table in docs/cluster.md says that each may do."""
    rows = re.findall(
        r"^\| `?([^|`]+)`? \| (topic|group|cluster) \| `([^|`]+)` \| ([A-Za-z, ]+) \|$", DOCS, re.MULTILINE
    )
    return [
        Right(user_of(who), kind, name, operation)
        for who, kind, name, operations in rows
        for operation in operations.split(", ")
    ]


def of_klaviyo(right: Right) -> Right:
    """Return the same right for another account."""
    user, name = (text.replace("facebook", "klaviyo") for text in (right.user, right.name))
    return replace(right, user=user, name=name)


@dataclass(frozen=True, slots=True)
class Site:
    """The product as processes of their own users."""

    secure: SecureKafka
    folder: Path
    common: dict[str, str]
    url: str
    sandbox: str
    session: aiohttp.ClientSession

    async def run(self, who: str, *words: str, **more: str) -> tuple[int, str, str]:
        """Run a command as its own user."""
        environ = {**self.common, **self.secure.settings(user_of(who)), **more}
        return await audience(self.folder, *who.split()[1:], *words, **environ)

    async def upload(self, users: object, query: str = "", name: str = "VIP", **batch: object) -> int:
        """Upload; return the status."""
        form = make_form(users, name=name, batch=make_batch(**batch))
        async with self.session.post(f"{self.url}/audience{query}", data=form) as response:
            return response.status

    async def get(self, path: str) -> dict[str, object]:
        """Return what the server says."""
        async with self.session.get(f"{self.url}{path}") as response:
            body: dict[str, object] = await response.json()
            return body

    async def inject(self, **what: object) -> None:
        """Make calls to a platform fail."""
        async with self.session.post(f"{self.sandbox}/_sandbox/faults", json=what) as response:
            assert response.status == 201


@asynccontextmanager
async def started(folder: Path, who: str, environ: dict[str, str]) -> AsyncIterator[None]:
    """Run a service while the block is entered, which then ends in order."""
    with (folder / f"{user_of(who)}.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "cli.entry", *who.split()[1:], cwd=folder, env=clean_environ(folder, **environ),
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 60)
    assert code == 0


async def until_ready(session: aiohttp.ClientSession, url: str) -> None:
    """Wait until a part says that it is ready."""
    async with asyncio.timeout(90):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(0.1)


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """Run a cluster, and the product on it, ingestion first, as it makes the topics."""
    async with AsyncExitStack() as stack:
        secure = await stack.enter_async_context(secure_kafka(folder / "broker"))
        await secure.allow([one for right in rights() for one in {right, of_klaviyo(right)}])
        sandbox = await stack.enter_async_context(sandbox_running())
        session = await stack.enter_async_context(aiohttp.ClientSession())
        url = f"http://127.0.0.1:{free_port()}"
        common = {"AUDIENCE_ENV_FILE": "", "AUDIENCE_PROVIDERS": ",".join(PROVIDERS), "AUDIENCE_RETRY_ATTEMPTS": "1"}
        common |= KEYS
        common["AUDIENCE_LISTEN"] = url.removeprefix("http://")
        for provider in PROVIDERS:
            common |= {**CREDENTIALS[provider], f"{provider.upper()}_PACE": "off"}
            common[f"{provider.upper()}_BASE_URL"] = f"{sandbox}/{provider}"
        await stack.enter_async_context(started(folder, SERVE, {**common, **secure.settings(user_of(SERVE))}))
        await until_ready(session, url)
        for who in (*map(CONSUME.format, PROVIDERS), LEDGER):
            health = f"127.0.0.1:{free_port()}"
            environ = {**common, **secure.settings(user_of(who)), "AUDIENCE_HEALTH_LISTEN": health}
            await stack.enter_async_context(started(folder, who, environ))
            await until_ready(session, f"http://{health}")
        yield Site(secure, folder, common, url, sandbox, session)


def client(found: Site, who: str) -> dict[str, str]:
    """Return the settings of a client that is not ours."""
    settings = found.secure.settings(user_of(who))
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in settings.items()}


def publish(found: Site, *values: bytes) -> None:
    """Publish as a system of one's own."""
    producer = Producer({**client(found, PUBLISHER), "enable.idempotence": True, "partitioner": "murmur2_random"})
    for value in values:
        producer.produce("audience.batches", value, key="custom:VIP")
    assert producer.flush(20) == 0


def read(found: Site, count: int) -> int:
    """Read completions as a system of one's own; return how many came."""
    consumer = Consumer({**client(found, READER), "group.id": "crm.completions", "auto.offset.reset": "earliest"})
    consumer.subscribe(["audience.completions"])
    try:
        return len(consumer.consume(count, 30))
    finally:
        consumer.close()


async def test_each_command_needs_just_the_rights_that_the_page_names(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text(json.dumps(make_users(1)))
    async with site(tmp_path) as found:
        people = [{"email": "ada@example.com", "edgeTagId": "edge-1"}, {"firstName": "Nobody"}]
        assert await found.upload(people, "?sync=true") == 200
        await until_through(found)

        await found.inject(**fault("facebook", "2650") | {"operation": "create"})
        assert await found.upload(people, "?sync=true&channels=facebook", name="New", sessionId=2) == 400
        await found.inject(provider="klaviyo", fault="server_error", calls=1)
        assert await found.upload(people, "?channels=klaviyo", sessionId=3) == 200
        await asyncio.to_thread(publish, found, b"garbage", single_object(minimal_record(1)))
        assert await removed(found, people[:1]) == 200
        assert await asyncio.to_thread(read, found, 4) == 4

        for who, words, told in (
            ("audience status", [], "facebook"),
            ("audience rejected", ["1"], "no_identifier"),
            ("audience rejected", ["1", "--with-ids"], "edgeTagId"),
            ("audience dead-letters", ["list"], "2650"),
            ("audience dead-letters", ["list", "--invalid"], "undecodable"),
            ("audience dead-letters", ["show", await failed(found)], "received"),
            ("audience publish", ["users.json", "--name", "VIP", "--channels", "facebook"], "record audience.batches-"),
            ("audience publish", ["users.json", "--name", "VIP", "--mode", "remove"], "record audience.batches-"),
            ("audience replay", ["--only", "failed", "--provider", "facebook", "--yes"], "facebook"),
            ("audience replay", ["--audience", "VIP", "--provider", "klaviyo", "--yes"], "klaviyo"),
            ("audience replay", ["list"], "complete"),
        ):
            code, output, errors = await found.run(who, *words)
            assert (code, told in output) == (0, True), (who, words, output, errors)
        await until_used(found, Right(user_of(CONSUME.format("klaviyo")), "topic", "audience.klaviyo.retry", "WRITE"))
        allowed, denied = found.secure.noted("Allowed"), found.secure.noted("Denied")
    assert denied == set()
    unused = [
        right
        for right in rights()
        if not any(used.is_of(one) for used in allowed for one in (right, of_klaviyo(right)))
    ]
    assert unused == [], "more than is needed"
    logs = logs_in(tmp_path)
    assert "AUTHORIZATION" not in logs
    assert PASSWORD not in logs


async def removed(found: Site, users: object) -> int:
    """Take people out, once everybody is known to know removals; return the status."""
    async with asyncio.timeout(30):
        while (status := await found.upload(users, "?sync=true&mode=remove", sessionId=4)) == 503:
            await asyncio.sleep(0.2)
    return status


def logs_in(folder: Path) -> str:
    """Return what the services wrote."""
    return "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.log"))


async def failed(found: Site) -> str:
    """Return where a record stands that failed."""
    _, output, _ = await found.run("audience dead-letters", "list", "--json")
    return str(json.loads(output.splitlines()[0])["origin"])


async def until_through(found: Site) -> None:
    """Wait until the server says of each account that a consumer runs and nothing is left for it to do."""
    async with asyncio.timeout(30):
        while True:
            accounts = (await found.get("/audience/accounts"))["accounts"]
            assert isinstance(accounts, list)
            if [(one["behind"], one["hasConsumer"]) for one in accounts] == [(0, True)] * len(PROVIDERS):
                return
            await asyncio.sleep(0.2)


async def until_used(found: Site, right: Right) -> None:
    """Wait until a right has been used."""
    async with asyncio.timeout(60):
        while right not in await asyncio.to_thread(found.secure.noted, "Allowed"):
            await asyncio.sleep(0.2)
