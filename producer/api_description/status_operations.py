"""The operations that tell what became of uploads, as they are described."""

from typing import Annotated

from msgspec import Meta

from ledger.resources import (
    AccountPage,
    BatchPage,
    BatchStatus,
    RejectedPage,
    SessionPage,
    SessionRejectedPage,
    SessionStatus,
    State,
)
from producer.api_description.operations import CSV, EVENTS, JSON, Answer, Operation, Parameter
from producer.api_description.usual_answers import USUAL, refusal
from producer.events.event_filter import KINDS
from producer.status import LARGEST_PAGE, LARGEST_REJECTED_PAGE, LONGEST_WAIT, FileFormat
from schemas.records import AudienceType, Mode

TAG = "Status"

Wait = Annotated[float, Meta(ge=0, le=LONGEST_WAIT)]
Limit = Annotated[int, Meta(ge=1, le=LARGEST_PAGE)]
RejectedLimit = Annotated[int, Meta(ge=1, le=LARGEST_REJECTED_PAGE)]
Id = Annotated[str, Meta(min_length=1)]
Since = Annotated[str, Meta(examples=["2h", "2026-11-24T15:00:00Z"])]


def _query(name: str, type_: object, description: str) -> Parameter:
    return Parameter(name=name, place="query", type=type_, description=description)


_BATCH_ID = Parameter(name="batchId", place="path", type=Id, description="Id of a batch, from `X-Batch-Id`.")
_SESSION_ID = Parameter(name="sessionId", place="path", type=Id, description="Id of a session, as `batch` had it.")
_WAIT = _query("wait", Wait, "Seconds in which to answer as soon as all is over.")
_SINCE = _query("since", Since, "Only what was touched since then: an age or a time.")
_CURSOR = _query("cursor", str, "`next` of the page before; without it this is the first one.")
_FORMAT = _query("format", FileFormat, "Whether to answer with JSON or a file for spreadsheets.")
_CHOICES = (
    _query("name", str, "Name of the audience, where several have sessions of that id."),
    _query("type", AudienceType, "Type of the audience."),
    _query("mode", Mode, "Whether the session adds users or takes them out."),
)
_REJECTED_PAGING = (_FORMAT, _query("limit", RejectedLimit, "Users of a page."), _CURSOR)

_ANSWERS = {**USUAL, 503: refusal("The server's view is being built or away: come again.", "Retry-After")}
_ONE = {**_ANSWERS, 404: refusal("Nothing is known of that id, which may have left the log.")}


def _page(kind: object) -> Answer:
    """Return the answer with rejected users, as JSON or as a file."""
    return Answer(
        description="A page of rejected users: index in the request, field, reason and remedy; never a value.",
        content={JSON: kind, CSV: str},
        optional_headers=("X-Unlisted-Count", "X-Next-Cursor", "Content-Disposition"),
    )


STATUS = (
    Operation(
        method="get",
        path="/audience/sessions",
        id="listSessions",
        tag=TAG,
        summary="List sessions, the newest first",
        description="Each by its newest run.",
        parameters=(
            _query("name", str, "Only audiences of this name."),
            _query("type", AudienceType, "Only audiences of this type."),
            _query("state", State, "Only sessions in this state."),
            _SINCE,
            _query("limit", Limit, "Sessions of a page."),
            _CURSOR,
        ),
        answers={**_ANSWERS, 200: Answer(description="A page of sessions.", content={JSON: SessionPage})},
    ),
    Operation(
        method="get",
        path="/audience/sessions/{sessionId}",
        id="getSession",
        tag=TAG,
        summary="Tell how all runs of a session stand",
        description="What is missing, repeated, late or contradictory, and how far each account is.",
        parameters=(_SESSION_ID, *_CHOICES, _WAIT),
        answers={**_ONE, 200: Answer(description="The session, its newest run first.", content={JSON: SessionStatus})},
    ),
    Operation(
        method="get",
        path="/audience/sessions/{sessionId}/rejected",
        id="listRejectedOfSession",
        tag=TAG,
        summary="List who was rejected in the newest run of a session",
        description="Of all its batches.",
        parameters=(_SESSION_ID, *_CHOICES, *_REJECTED_PAGING),
        answers={**_ONE, 200: _page(SessionRejectedPage)},
    ),
    Operation(
        method="get",
        path="/audience/batches",
        id="listBatches",
        tag=TAG,
        summary="List batches that no session tells, the newest first",
        description="As they have no `sessionId`, or are not valid.",
        parameters=(
            _query("name", str, "Only batches of audiences of this name."),
            _query("type", AudienceType, "Only batches of audiences of this type."),
            _query("state", State, "Only batches in this state."),
            _SINCE,
            _query("limit", Limit, "Batches of a page."),
            _CURSOR,
        ),
        answers={**_ANSWERS, 200: Answer(description="A page of batches.", content={JSON: BatchPage})},
    ),
    Operation(
        method="get",
        path="/audience/batches/{batchId}",
        id="getBatch",
        tag=TAG,
        summary="Tell how a batch stands",
        description="For each account, how many of its users stand in the log, were sent, accepted, matched.",
        parameters=(_BATCH_ID, _WAIT),
        answers={**_ONE, 200: Answer(description="The batch.", content={JSON: BatchStatus})},
    ),
    Operation(
        method="get",
        path="/audience/batches/{batchId}/rejected",
        id="listRejectedOfBatch",
        tag=TAG,
        summary="List who was rejected of a batch",
        description="By each account.",
        parameters=(_BATCH_ID, *_REJECTED_PAGING),
        answers={**_ONE, 200: _page(RejectedPage)},
    ),
    Operation(
        method="get",
        path="/audience/accounts",
        id="listAccounts",
        tag=TAG,
        summary="Tell how each account stands",
        description="Running, throttled or blocked and why, how far behind, and whether a consumer runs.",
        answers={**USUAL, 200: Answer(description="All accounts of this server.", content={JSON: AccountPage})},
    ),
    Operation(
        method="get",
        path="/events",
        id="followEvents",
        tag=TAG,
        summary="Tell what changes, as server-sent events",
        description=(
            "The stream goes on until the client leaves. With `Last-Event-ID` it goes on behind that event; where that "
            "can't be, it begins with `reset`."
        ),
        parameters=(
            _query("kind", str, f"Kinds of events, with commas between: {', '.join(KINDS)}."),
            _query("session", Id, "Only what is of a session."),
            _query("batch", Id, "Only what is of a batch."),
            _query("name", Id, "Only what is of audiences of this name."),
            _query("type", AudienceType, "Only what is of audiences of this type."),
            _query("mode", Mode, "Only what is of batches that add users, or that take them out."),
            _query("account", Id, "Only what is of an account, such as `facebook` or `tiktok/eu`."),
        ),
        answers={**_ANSWERS, 200: Answer(description="The stream.", content={EVENTS: str})},
    ),
)
