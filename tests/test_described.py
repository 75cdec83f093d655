"""Made-up requests of what the server describes: it answers them as described, and stands them."""

import json
import os
from pathlib import Path

import pytest
import requests
from schemathesis import GenerationMode, Response

from checks.described.cases import LONGEST_WAIT, bounded, load, sweeps
from checks.described.run import run
from checks.described.verdict import faults_of
from checks.hostile.run import Place
from producer.api_description.openapi import openapi
from producer.api_description.table import OPERATIONS
from producer.settings import ServerSettings
from streams.client.settings import KafkaSettings

SEED = int(os.environ.get("SEED", "20261129"))
CASES = 2_000
DOCUMENT = openapi(OPERATIONS, ServerSettings())


def test_every_operation_is_swept_with_what_it_allows_and_with_what_it_does_not() -> None:
    schema = load(DOCUMENT, ["facebook"])
    every = sweeps(schema, SEED)
    first = [next(every) for _ in range(60)]
    described = {f"{method.upper()} {path}" for path, item in DOCUMENT["paths"].items() for method in item}
    endless = {"GET /events"}
    assert {sweep.operation.label for sweep in first} == described - endless
    assert {sweep.mode for sweep in first} == {GenerationMode.POSITIVE, GenerationMode.NEGATIVE}
    assert len({sweep.seed for sweep in first}) == len(first)


def test_nobody_waits_for_long_and_some_ask_for_what_there_is() -> None:
    schema = load(DOCUMENT, ["facebook"])
    case = schema["/audience/batches/{batchId}"]["GET"].Case(path_parameters={"batchId": "x"}, query={"wait": 300})
    bounded(case, "known")
    assert (case.path_parameters, case.query) == ({"batchId": "known"}, {"wait": LONGEST_WAIT})
    case = schema["/audience/batches/{batchId}"]["GET"].Case(path_parameters={"batchId": "x"}, query={"wait": "never"})
    bounded(case, None)
    assert (case.path_parameters, case.query) == ({"batchId": "x"}, {"wait": "never"})


@pytest.mark.parametrize(
    ("status", "body", "headers", "faults"),
    [
        (200, {"success": True}, {}, set()),
        (503, {"success": False, "errors": ["busy"]}, {"Retry-After": "5"}, set()),
        (503, {"success": False, "errors": ["busy"]}, {}, {"POST /audience: 503: MissingHeaders"}),
        (503, {"success": False, "errors": []}, {"Retry-After": "5"}, {"POST /audience: 503: JsonSchemaError"}),
        (504, {"errors": ["x"]}, {}, {"POST /audience: 504: JsonSchemaError"}),
        (500, {"success": False, "errors": ["bug"]}, {}, {"POST /audience: 500: a bug"}),
        (418, {}, {}, {"POST /audience: 418: UndefinedStatusCode"}),
    ],
)
def test_an_answer_is_judged_by_status_headers_and_body(
    status: int, body: object, headers: dict[str, str], faults: set[str]
) -> None:
    case = load(DOCUMENT, ["facebook"])["/audience"]["POST"].Case(media_type="multipart/form-data", body={})
    always = {"X-Batch-Id": "x", "X-Ignored-Count": "0", "Location": "/x"} if status in (200, 504) else {}
    assert set(faults_of(case, answer(status, body, {**always, **headers}))) == faults


def answer(status: int, body: object, headers: dict[str, str]) -> Response:
    """Return an answer as it comes."""
    return Response(
        status_code=status,
        headers={name.lower(): [value] for name, value in {"Content-Type": "application/json", **headers}.items()},
        content=json.dumps(body).encode(),
        request=requests.Request("POST", "http://127.0.0.1/audience").prepare(),
        elapsed=0.0,
        verify=False,
    )


@pytest.mark.timeout(400)
async def test_two_thousand_made_up_requests_are_answered_as_described(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    place = Place(kafka=kafka, prefix=topic_prefix, folder=tmp_path)
    report = await run(place, SEED, CASES, 300, lambda _: None)
    assert not report.faults, f"SEED={SEED}: {[(fault, n, report.first[fault]) for fault, n in report.faults.items()]}"
    assert report.sent >= CASES
    statuses = {answered.rpartition(" ")[2] for answered in report.answers}
    assert {"200", "400", "401", "404", "503", "504"} <= statuses
    assert report.answers["POST /audience 200"] > CASES / 20
