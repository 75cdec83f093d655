"""What `sync=true` adds to the platform's own answer, on a real Kafka and the sandbox."""

import asyncio
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

import sandbox
from consumer.service import Account, consume
from consumer.settings import ConsumerSettings
from producer.server import serving
from producer.settings import ServerSettings
from providers.facebook import Facebook, FacebookSettings
from sandbox import CREDENTIALS, SandboxOptions
from schemas.framing import Framing
from schemas.target import Target
from streams.broker import LocalBroker
from streams.settings import KafkaSettings
from streams.topics import TopicNames, ensure_topics, layout

REQUESTS = 100
LATENCY = 0.05
TARGET = Target("facebook")

Call = Callable[[], Awaitable[None]]


async def measure_sync() -> None:
    """Time uploads of ten users that wait for Facebook, beside the platform's answer alone."""
    async with AsyncExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        broker = await stack.enter_async_context(LocalBroker(data=data))
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        names = TopicNames(f"bench-{secrets.token_hex(4)}")
        await ensure_topics(kafka, layout(names))
        runner = await sandbox.serve("127.0.0.1", 0, SandboxOptions(latency=LATENCY))
        stack.push_async_callback(runner.cleanup)
        sandbox_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        settings = ServerSettings.model_validate({"AUDIENCE_LISTEN": "127.0.0.1:0"})
        server = await stack.enter_async_context(serving(settings, kafka, [TARGET], names, Framing()))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        consuming = asyncio.create_task(consume(_account(sandbox_url), ConsumerSettings(), kafka, names, Framing()))
        try:
            await _report(session, f"http://{server.address}", sandbox_url)
        finally:
            consuming.cancel()
            await asyncio.gather(consuming, return_exceptions=True)


def _account(sandbox_url: str) -> Account:
    made_up = {name.removeprefix("FACEBOOK_").lower(): value for name, value in CREDENTIALS["facebook"].items()}
    settings = FacebookSettings.model_validate({**made_up, "base_url": f"{sandbox_url}/facebook"})
    return Account(target=TARGET, kind=Facebook, settings=settings)


async def _report(session: aiohttp.ClientSession, url: str, sandbox_url: str) -> None:
    async def upload(query: str) -> None:
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("name", "VIP")
        form.add_field("batch", '{"sessionId":1,"sequence":1,"totalBatches":1,"totalUsers":10}')
        form.add_field("users", json.dumps([{"email": f"person{number}@example.com"} for number in range(10)]))
        async with session.post(f"{url}/audience{query}", data=form) as response:
            if response.status != 200:
                raise RuntimeError(f"the upload was answered {response.status}")

    async def platform() -> None:
        token = CREDENTIALS["facebook"]["FACEBOOK_ACCESS_TOKEN"]
        path = f"{sandbox_url}/facebook/v26.0/act_1001/customaudiences?access_token={token}"
        async with session.get(path) as response:
            await response.read()

    await upload("?sync=true")  # the audience is made, the group has its partitions
    seconds = await _in_turn({"platform": platform, "upload": lambda: upload(""), "sync": lambda: upload("?sync=true")})
    print(f"sync latency, ten users, median of {REQUESTS} requests, the platform takes {LATENCY * 1000:.0f} ms")  # noqa: T201 -- the output
    for name, took in seconds.items():
        print(f"  {name:8} {took * 1000:8.1f} ms")  # noqa: T201 -- the output
    over = seconds["sync"] - seconds["platform"]
    print(f"  sync adds {over * 1000:.1f} ms to the platform's call, x{seconds['sync'] / seconds['platform']:.2f}")  # noqa: T201 -- the output


async def _in_turn(calls: dict[str, Call]) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(REQUESTS):
        for name, call in calls.items():
            began = time.perf_counter()
            await call()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(took) for name, took in seconds.items()}
