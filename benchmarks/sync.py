"""What `sync=true` adds to the platform's own answer, on a real Kafka and the sandbox."""

import statistics
import time
from collections.abc import Awaitable, Callable

from benchmarks.product import Product, make_form, product
from sandbox import CREDENTIALS
from streams.client.settings import KafkaSettings

REQUESTS = 100
LATENCY = 0.05
USERS = [{"email": f"person{number}@example.com"} for number in range(10)]

Call = Callable[[], Awaitable[None]]


async def measure_sync(kafka: KafkaSettings) -> None:
    """Time uploads of ten users that wait for Facebook, beside the platform's answer alone."""
    async with product(kafka, ["facebook"], AUDIENCE_SANDBOX_LATENCY=str(LATENCY)) as running:
        url = await running.serve()
        await running.consume("facebook")
        await _report(running, url)


async def _report(running: Product, url: str) -> None:
    async def upload(query: str) -> None:
        async with running.session.post(f"{url}/audience{query}", data=make_form("VIP", USERS)) as response:
            if response.status != 200:
                raise RuntimeError(f"the upload was answered {response.status}")

    async def platform() -> None:
        token = CREDENTIALS["facebook"]["FACEBOOK_ACCESS_TOKEN"]
        path = f"{running.sandbox_url}/facebook/v26.0/act_1001/customaudiences?access_token={token}"
        async with running.session.get(path) as response:
            await response.read()

    await upload("?sync=true")  # the audience is made
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
