"""What holds up an account or one audience in the whole product, and what does not."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiohttp import web
from test_pipeline import hashes, minimal_record, publish, single_object
from world import UNLIMITED, World, consuming_one, make_users, sandbox_account, world

from consumer.retries.clock import Time
from providers.klaviyo import Klaviyo
from schemas.avro.codec import decode_account_state
from schemas.avro.framing import Framing, schema_json
from schemas.records import AccountState
from schemas.target import Target
from streams.client.schema_registry import ConfluentRegistry
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames
from streams.read.tail import read_to_end

FACEBOOK = Target("facebook")


async def states(found: World, framing: Framing | None = None) -> list[AccountState]:
    """Return what was said of accounts, oldest first."""
    records = await read_to_end(found.kafka, found.names.accounts)
    said = [record for record in records if (record.key or b"").startswith(b"state:")]
    return [await asyncio.to_thread(decode_account_state, record.value, framing or Framing()) for record in said]


async def until(is_so: Callable[[AccountState], bool], found: World, framing: Framing | None = None) -> None:
    """Return when what was said last of an account is as it should be."""
    async with asyncio.timeout(30):
        while not (said := await states(found, framing)) or not is_so(said[-1]):
            await asyncio.sleep(0.1)


async def test_a_restart_of_a_parked_account_says_nothing_else_and_sends_nothing_until_a_probe_passes(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        served = sandbox_account(FACEBOOK, found.sandbox_url)
        await found.inject(provider="facebook", fault="auth", untilCleared=True)
        async with consuming_one(served, kafka, found.names):
            status, _, _ = await found.upload(make_users(2), "?sync=true")
            assert status == 400
        said = [state.state for state in await states(found)]
        async with consuming_one(served, kafka, found.names):
            _, body, _ = await found.upload(make_users(2), "?sync=true")
            assert body["errors"][0].startswith("facebook: blocked: token_invalid")
            assert [state.state for state in await states(found)] == said == ["running", "blocked"]
            assert (await found.counters())["facebook"]["byOperation"]["upload"] == 0
            await found.clear_faults()
            (told,) = await found.completions(1)  # the second upload was the first one sent again
            assert told.status == "delivered"
            await until(lambda said: said.state == "running", found)


async def test_a_throttle_that_one_process_meets_holds_the_others_and_those_that_start_later(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    naps: list[float] = []
    is_over = asyncio.Event()

    async def sleep(seconds: float) -> None:
        naps.append(seconds)
        await (is_over.wait() if seconds > 100 else asyncio.sleep(seconds))

    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        served = sandbox_account(FACEBOOK, found.sandbox_url)
        await found.inject(provider="facebook", fault="throttled", operation="find", seconds=3000)
        async with consuming_one(served, kafka, found.names, time=Time(sleep=sleep)):
            assert (await found.upload(make_users(2)))[0] == 200
            await until(lambda said: said.state == "throttled", found)
        until_when = (await states(found))[-1].until
        calls = (await found.counters())["facebook"]["calls"]
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(consuming_one(served, kafka, found.names, time=Time(sleep=sleep)))
            naps.clear()
            async with asyncio.timeout(20):
                while not any(2900 < nap <= 3000 for nap in naps):
                    await asyncio.sleep(0.05)
            assert (await found.counters())["facebook"]["calls"] == calls == 1
            assert (await states(found))[-1].until == until_when


async def test_an_audience_that_is_long_in_the_making_holds_up_no_other(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=()) as found:
        served = sandbox_account(FACEBOOK, found.sandbox_url, slots="2")
        await found.inject(provider="facebook", fault="stall", operation="create")
        async with consuming_one(served, kafka, found.names):
            for start in range(30):  # more than the places that there are
                assert (await found.upload(make_users(1, start)))[0] == 200
            async with asyncio.timeout(20):
                while (await found.counters())["facebook"]["byOperation"]["create"] < 1:
                    await asyncio.sleep(0.05)
            assert (await found.upload(make_users(3), "?sync=true", name="other"))[0] == 200
            assert await found.members("facebook") == set()
            await found.clear_faults()
            await found.completions(31, timeout=60)
        assert await found.members("facebook") == hashes(*range(30))


async def test_an_endpoint_that_is_throttled_for_a_day_stops_no_other_endpoint(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    """Klaviyo allows 150 new lists a day; uploads to the lists that there are go on."""
    async with world(kafka, topic_prefix, providers=["klaviyo"], consuming=(), options=UNLIMITED) as found:
        served = sandbox_account(Target("klaviyo"), found.sandbox_url, slots="1")
        assert issubclass(served.kind, Klaviyo)
        async with consuming_one(served, kafka, found.names):
            assert (await found.upload(make_users(1), "?sync=true"))[0] == 200
            await found.inject(provider="klaviyo", fault="throttled", operation="create", seconds=80_000)
            for number in range(20):
                assert (await found.upload(make_users(1), name=f"new {number}"))[0] == 200
            assert (await found.upload(make_users(3), "?sync=true"))[0] == 200
            await until(lambda said: said.state == "throttled" and said.operation == "create", found)
            assert (await found.counters())["klaviyo"]["byOperation"]["create"] == 2
        assert len(await found.members("klaviyo")) == 3


class Registry:
    """A schema registry over HTTP that can be away."""

    def __init__(self) -> None:
        self.is_away = False
        self._texts: list[str] = []

    async def __aenter__(self) -> str:
        app = web.Application()
        app.router.add_post("/subjects/{subject}/versions", self._register)
        app.router.add_get("/schemas/ids/{number}", self._show)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def register(self, text: str) -> int:
        """Keep a schema, for a publisher that knows us."""
        if text not in self._texts:
            self._texts.append(text)
        return self._texts.index(text) + 1

    async def _register(self, request: web.Request) -> web.Response:
        body = await request.json()
        guid = uuid.uuid5(uuid.NAMESPACE_OID, body["schema"])  # by which serializers name a schema in a header
        return self._answer({"id": self.register(body["schema"]), "guid": str(guid)})

    async def _show(self, request: web.Request) -> web.Response:
        return self._answer({"schema": self._texts[int(request.match_info["number"]) - 1]})

    def _answer(self, body: object) -> web.Response:
        return web.json_response(status=500) if self.is_away else web.json_response(body)


async def test_while_the_registry_is_away_the_account_is_parked_and_then_goes_on(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    registry = Registry()
    async with registry as url:
        framing = Framing(ConfluentRegistry(url, TopicNames(topic_prefix).of_records))
        async with world(kafka, topic_prefix, providers=["facebook"], framing=framing) as found:
            assert (await found.upload(make_users(1), "?sync=true"))[0] == 200
            number = registry.register(schema_json("AudienceBatch") + " ")  # the same in a form that nobody has met
            registry.is_away = True
            value = b"\x00" + number.to_bytes(4, "big") + single_object(minimal_record(7))[10:]
            await asyncio.to_thread(publish, found, value)
            await until(lambda said: said.error_code == "registry_unreachable", found, framing)
            status, body, _ = await found.upload(make_users(2), "?sync=true")
            assert (status, body["errors"]) == (400, ["facebook: blocked: registry_unreachable"])
            registry.is_away = False
            await until(lambda said: said.state == "running", found, framing)
            assert (await found.upload(make_users(2), "?sync=true"))[0] == 200
            async with asyncio.timeout(20):
                while await found.members("facebook") != hashes(0, 1, 7):
                    await asyncio.sleep(0.05)
