"""The table of all operations of the HTTP API; a test holds it equal to what the server routes."""

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from producer.api_description.operations import JSON, TEXT, Answer, Operation
from producer.api_description.status_operations import STATUS
from producer.api_description.upload_operation import UPLOAD
from producer.api_description.usual_answers import USUAL, WITHOUT_TOKEN

PAGES = frozenset({"/docs", "/docs/style.css"})
"""Paths for people with a browser: no part of the API, so they are not described."""

Document = dict[str, Any]
Alive = Annotated[str, Meta(extra_json_schema={"const": "ok"})]

_HEALTH = (
    Operation(
        method="get",
        path="/healthz",
        id="getHealth",
        tag="Health",
        summary="Say that the server is there",
        description="For whoever restarts it.",
        answers={**WITHOUT_TOKEN, 200: Answer(description="It is.", content={TEXT: Alive})},
        has_head=True,
        is_open=True,
    ),
    Operation(
        method="get",
        path="/readyz",
        id="getReadiness",
        tag="Health",
        summary="Say whether uploads can be taken",
        description="For whoever sends requests to it, such as a load balancer.",
        answers={
            **WITHOUT_TOKEN,
            200: Answer(description="Yes, and what can't be answered meanwhile.", content={TEXT: str}),
            503: Answer(description="No, and why.", content={TEXT: str}),
        },
        has_head=True,
        is_open=True,
    ),
)


_METRICS = Operation(
    method="get",
    path="/metrics",
    id="getMetrics",
    tag="Health",
    summary="Tell Prometheus what happens and how things stand",
    description="In its text format.",
    answers={**USUAL, 200: Answer(description="All metrics of this process.", content={TEXT: str})},
)


def _described(path: str, name: str, summary: str) -> Operation:
    return Operation(
        method="get",
        path=path,
        id=f"get{name}",
        tag="Description",
        summary=summary,
        description="Without a token only on this machine's own addresses.",
        answers={**USUAL, 200: Answer(description="The document.", content={JSON: Document})},
    )


OPERATIONS: tuple[Operation, ...] = (
    UPLOAD,
    *STATUS,
    *_HEALTH,
    _METRICS,
    _described("/openapi.json", "OpenApi", "Describe the HTTP API as OpenAPI"),
    _described("/asyncapi.json", "AsyncApi", "Describe the topics and their records as AsyncAPI"),
)

TAGS: Mapping[str, str] = {
    "Uploads": "Lists that are pushed to all platforms.",
    "Status": "What became of them.",
    "Health": "How the server is.",
    "Description": "What you read.",
}
