"""What the server describes of itself is what it does: paths, answers, topics, and a page of all that."""

import copy
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import jsonschema
import pytest
from aiohttp import web
from fastavro.schema import parse_schema
from openapi_spec_validator import OpenAPIV31SpecValidator
from tools import needs
from world import World, make_batch, make_users, world

import consumer.records.record_handler
import consumer.records.retry_pointers
import ledger.receipts
import producer.records
import producer.server
import streams.tables.account_states
import streams.tables.audience_directory
from producer.access import DESCRIPTION_PATHS
from producer.api_description.asyncapi import asyncapi
from producer.api_description.handler import CONTENT_SECURITY_POLICY, api_description
from producer.api_description.openapi import openapi
from producer.api_description.table import OPERATIONS, PAGES
from producer.api_description.topic_channels import GROUP, channels
from producer.request.request_form import QUERY
from producer.server import create_app
from producer.settings import ServerSettings
from schemas.metrics.registry import Metrics
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicNames, layout

ROOT = Path(__file__).parent.parent
SETTINGS = ServerSettings()
NAMES = TopicNames()
DOCUMENT = openapi(OPERATIONS, SETTINGS)
TOPICS = asyncapi(channels(NAMES), NAMES)
PAGE = api_description(SETTINGS, NAMES).html

POLICIES = ("retention.ms", "retention.bytes", "max.message.bytes")
"""Of topics, besides how they are cleaned up: what Kafka's binding has words for."""

ASYNCAPI_SCHEMAS = "@asyncapi/specs@6.11.1"


def shape(path: str) -> str:
    """Return a path without the names of what is variable in it."""
    return re.sub(r"\{\w+\}", "{}", path)


def test_the_document_is_openapi() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []
    wrong = copy.deepcopy(DOCUMENT)
    del wrong["paths"]["/audience/batches/{batchId}"]["get"]["parameters"]
    del wrong["paths"]["/audience"]["post"]["responses"]["200"]["description"]
    assert len(list(OpenAPIV31SpecValidator(wrong).iter_errors())) >= 2


async def test_what_is_described_is_what_the_server_routes(
    kafka: KafkaSettings, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[web.Application] = []

    def keeping(settings: ServerSettings, *routes: Any, **more: Any) -> web.Application:
        served.append(create_app(settings, *routes, **more))
        return served[-1]

    monkeypatch.setattr(producer.server, "create_app", keeping)
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=[]):
        routed = {
            (route.method.lower(), shape(route.resource.canonical))
            for route in served[0].router.routes()
            if route.resource is not None and route.resource.canonical not in PAGES
        }
    assert {(method, shape(path)) for path, item in DOCUMENT["paths"].items() for method in item} == routed


PROBES = frozenset({"/healthz", "/readyz"})
"""What load balancers ask in their own way: one that is refused takes a server out of service."""


async def test_a_name_in_a_query_that_is_not_described_is_refused_with_those_that_are(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    read = [one for one in OPERATIONS if one.method == "get"]
    async with world(kafka, topic_prefix, providers=["facebook"], consuming=[]) as running:
        for operation in read:
            path = shape(operation.path).format("7")
            async with running.session.get(f"{running.url}{path}?nonsense=1&ada%40example.com=1") as response:
                if operation.path in PROBES:
                    assert response.status == 200, operation.path
                    continue
                body = await response.json()
            names = [one.name for one in operation.parameters if one.place == "query"]
            assert response.status == 400, operation.path
            check_body("get", operation.path, response.status, body)
            there_are = f"there is no such filter; there are {', '.join(names) or 'none'}"
            shown, hidden = sorted(body["errors"])
            assert (shown, hidden.partition(": ")[0]) == (f"nonsense: {there_are}", "query"), operation.path
        _, body, headers = await running.upload(make_users(1), "?nonsense=1")
        assert (body, headers["X-Ignored-Count"]) == ({"success": True}, "1")


def test_the_query_of_an_upload_is_described_whole() -> None:
    described = [parameter["name"] for parameter in DOCUMENT["paths"]["/audience"]["post"]["parameters"]]
    assert sorted(described) == sorted(QUERY)


@pytest.mark.parametrize("page", ["README.md", "docs/status.md", "docs/uploading.md"])
def test_a_path_that_a_page_names_is_described(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:GET|POST|HEAD) (/[\w/{}.-]*)", text))
    named |= set(re.findall(r"127\.0\.0\.1:8080(/[\w/-]*)", text))
    described = {shape(path) for path in DOCUMENT["paths"]}
    assert named
    assert {path for path in named if shape(path) not in described} - PAGES == set()


def test_generated_types_say_what_may_be_sent() -> None:
    form = DOCUMENT["paths"]["/audience"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["name"]["maxLength"] == 255
    users = {**form["properties"]["users"]["contentSchema"], "components": DOCUMENT["components"]}
    assert users["maxItems"] == SETTINGS.max_users
    jsonschema.Draft202012Validator(users).validate([{"email": "ada@example.com", "phone": 14155550100, "other": {}}])
    wrong: object
    for wrong in ([], {}, [{"email": 1}], [{"phone": True}], [{"email": "x" * 1025}]):
        assert not jsonschema.Draft202012Validator(users).is_valid(wrong), wrong
    batch = DOCUMENT["components"]["schemas"]["BatchForm"]
    jsonschema.validate(make_batch(pullDate="2026-11-24"), batch)
    for wrong in (make_batch(sequence=-1), make_batch(totalUsers="2"), make_batch(sessionId=None), {}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, batch)


# What is really answered fits, and has no member that is not described.


def strict(schema: Any) -> Any:
    """Return schemas that allow no other members than they name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: strict(value) for name, value in schema.items()}
    return {**closed, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else closed


def check_body(method: str, path: str, status: int, body: object) -> None:
    """Check a body by the description of a status of an operation."""
    content = DOCUMENT["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    schema = {**content, "components": strict(DOCUMENT["components"])}
    jsonschema.Draft202012Validator(schema).validate(body)


async def check_get(running: World, path: str, **values: str) -> Any:
    """Ask for something, and check the answer by its description."""
    url = f"{running.url}{path.format(**values)}"
    async with running.session.get(url, params={"wait": "20"} if path.endswith("Id}") else {}) as response:
        body = await response.json()
        check_body("get", path, response.status, body)
        assert response.status == 200
        return body


async def test_answers_have_the_members_that_are_described_and_no_others(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    users = [*make_users(3), {"email": "nobody"}, {"Email": "x", "phone": "+14155550100"}]
    async with world(kafka, topic_prefix) as running:
        answers = [
            await running.upload(users, "?sync=true&detail=true"),
            await running.upload(users, name="B", extra={"unknown": "x"}),
            await running.upload([], name="C", batch={}),
        ]
        await running.inject(provider="facebook", fault="terms", calls=100)
        answers.append(await running.upload(make_users(2), "?sync=true&detail=true", name="D"))
        for status, body, _ in answers:
            check_body("post", "/audience", status, body)
        assert [status for status, _, _ in answers] == [200, 200, 400, 400]
        assert {result["provider"] for result in answers[0][1]["results"]} == {"facebook", "tiktok", "klaviyo"}
        batch_id = answers[0][2]["X-Batch-Id"]
        batch = await check_get(running, "/audience/batches/{batchId}", batchId=batch_id)
        rejected = await check_get(running, "/audience/batches/{batchId}/rejected", batchId=batch_id)
        await check_get(running, "/audience/sessions/{sessionId}/rejected", sessionId="1")
        sessions = await check_get(running, "/audience/sessions")
        accounts = await check_get(running, "/audience/accounts")
        url = f"{running.url}/audience/sessions/1?name=VIP"
        async with running.session.get(url) as response:
            check_body("get", "/audience/sessions/{sessionId}", response.status, await response.json())
    assert batch["targets"]
    assert rejected["rejected"]
    assert sessions["sessions"]
    assert [account["error"] for account in accounts["accounts"] if account["state"] == "blocked"] != []


def test_a_member_that_is_not_described_would_be_found() -> None:
    check_body("post", "/audience", 200, {"success": True, "batchId": "x"})
    for wrong in ({"success": True, "batch_id": "x"}, {"success": False}, {"success": True, "results": [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            check_body("post", "/audience", 200, wrong)


# Who may read it.


@pytest.mark.parametrize(
    ("listen", "host", "status"),
    [
        ("127.0.0.1:0", "127.0.0.1", 200),
        ("127.0.0.1:0", "localhost:8080", 200),
        ("127.0.0.1:0", "lists.example.com", 401),
        ("0.0.0.0:0", "127.0.0.1", 401),
    ],
)
async def test_with_tokens_a_description_is_open_only_where_this_machine_alone_is_listened_to(
    listen: str, host: str, status: int
) -> None:
    settings = ServerSettings.model_validate({"AUDIENCE_LISTEN": listen, "AUDIENCE_API_TOKENS": "made-up"})
    runner = web.AppRunner(create_app(settings, Metrics(), api_description(settings, NAMES).routes()))
    await runner.setup()
    site = web.TCPSite(runner, settings.listen.host, 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            for path in sorted(DESCRIPTION_PATHS):
                async with session.get(f"{url}{path}", headers={"Host": host}) as response:
                    assert response.status == status, path
                token = {"Host": host, "Authorization": "Bearer made-up"}
                async with session.get(f"{url}{path}", headers=token) as response:
                    assert response.status == 200, path
            async with session.get(f"{url}/audience/accounts", headers={"Host": host}) as response:
                assert response.status == 401
    finally:
        await runner.cleanup()


# The page for people.


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_runs_nothing_and_takes_nothing_from_elsewhere() -> None:
    elements = Elements(PAGE).found
    assert {tag for tag, _ in elements}.isdisjoint({"script", "style", "iframe", "object", "img", "form"})
    names = {name for _, attributes in elements for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}
    targets = [attributes[name] or "" for _, attributes in elements for name in ("href", "src") if name in attributes]
    assert {urlsplit(target).netloc for target in targets} == {""}
    policy = dict(part.strip().split(" ", 1) for part in CONTENT_SECURITY_POLICY.split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["style-src"] == "'self'"
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert "url(" not in api_description(SETTINGS, NAMES).css


def test_the_page_shows_all_operations_types_and_topics_and_its_links_lead_somewhere() -> None:
    elements = Elements(PAGE).found
    anchors = {attributes["id"] for _, attributes in elements if "id" in attributes}
    links = {attributes["href"] or "" for tag, attributes in elements if tag == "a"}
    assert {link for link in links if link.startswith("#") and link[1:] not in anchors} == set()
    assert {link for link in links if not link.startswith("#")} == {"/openapi.json", "/asyncapi.json"}
    for item in DOCUMENT["paths"].values():
        for method, operation in item.items():
            assert method == "head" or operation["operationId"].lower() in anchors
    assert {f"type-{name.lower()}" for name in DOCUMENT["components"]["schemas"]} <= anchors
    assert {f"topic-{name}" for name in TOPICS["channels"]} <= anchors
    assert "None" not in re.sub(r"<[^>]*>", "", PAGE), "null is what JSON and its readers call it"


# The topics.


def test_every_topic_and_every_record_is_described_with_its_schema() -> None:
    described = {channel["address"]: channel for channel in TOPICS["channels"].values()}
    specs = {spec.name: spec for spec in layout(NAMES, [GROUP])}
    assert described.keys() == specs.keys()
    for name, spec in specs.items():
        kafka = described[name]["bindings"]["kafka"]
        policies = {"partitions": kafka["partitions"], **kafka["topicConfiguration"]}
        assert policies.pop("cleanup.policy") == [spec.config["cleanup.policy"]]
        assert policies.pop("partitions") == spec.partitions
        assert policies == {name: int(spec.config[name]) for name in POLICIES if name in spec.config}
    files = {path.stem: json.loads(path.read_text()) for path in (ROOT / "schemas").glob("*.avsc")}
    schemas = {name: message["payload"]["schema"] for name, message in TOPICS["components"]["messages"].items()}
    assert schemas == files
    assert schemas.keys() == NAMES.of_records.keys()
    for schema in schemas.values():
        parse_schema(schema)


def test_a_record_stands_on_the_topic_and_has_the_key_that_the_page_of_topics_says() -> None:
    page = (ROOT / "docs" / "topics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^`]+`)? ?\| (.+?) \| `(\w+)` \|", page, re.MULTILINE)
    topic, told = "", {}
    for name, _, record in rows:
        topic = name.strip("`") or topic
        told[record] = topic.replace("<group>", GROUP)
    found = {record: channel["address"] for channel in TOPICS["channels"].values() for record in channel["messages"]}
    assert found == told
    assert all(message["bindings"]["kafka"]["key"] for message in TOPICS["components"]["messages"].values())


def test_the_content_types_of_records_are_those_that_are_written() -> None:
    written = {
        "AudienceBatch": producer.records.CONTENT_TYPE,
        "AudienceRemoval": producer.records.CONTENT_TYPE,
        "BatchCompletion": consumer.records.record_handler.HEADERS,
        "BatchReceipt": ledger.receipts.HEADERS,
        "AccountState": streams.tables.account_states.HEADERS,
        "AccountLoss": streams.tables.account_states.LOSS_HEADERS,
        "DirectoryEntry": streams.tables.audience_directory.HEADERS,
        "RetryPointer": consumer.records.retry_pointers.HEADERS,
    }
    described = {
        name: {"content-type": message["contentType"].encode()}
        for name, message in TOPICS["components"]["messages"].items()
        if "headers" in message
    }
    assert described == written
    pointer = TOPICS["components"]["messages"]["RetryPointer"]
    assert consumer.records.retry_pointers.LOG_ID in pointer["headers"]["properties"]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The schema that the makers of AsyncAPI publish."""
    folder = tmp_path_factory.mktemp("asyncapi")
    npm = shutil.which("npm") or "npm"
    options = ("--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
    subprocess.run([npm, "install", *options, ASYNCAPI_SCHEMAS], cwd=folder, check=True, timeout=100)
    schema = folder / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    return json.loads(schema.read_text(encoding="utf-8"))


@needs("npm")
def test_the_document_of_the_topics_is_asyncapi(official: Mapping[str, Any]) -> None:
    validator = jsonschema.Draft7Validator(official)
    assert [error.message for error in validator.iter_errors(TOPICS)] == []
    for change in ("channels", "operations", "messages"):
        wrong = copy.deepcopy(TOPICS)
        place = wrong["components"] if change == "messages" else wrong
        next(iter(place[change].values()))["nonsense"] = True
        assert not validator.is_valid(wrong), change
