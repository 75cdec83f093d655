"""`POST /audience` as it is described: its query, and its answers."""

from typing import Annotated

from msgspec import Meta

from producer.answers import MALFORMED, NO_USERS
from producer.api_description.answer_bodies import UploadAnswer, UploadFailure
from producer.api_description.operations import JSON, TEXT, Answer, Operation, Parameter
from producer.api_description.usual_answers import USUAL, refusal
from schemas.records import Mode

PlainRefusal = Annotated[str, Meta(pattern=f"^({MALFORMED} \\(|{NO_USERS}$)".replace(".", "\\."))]
"""The two refusals that are plain text."""

Channels = Annotated[list[str], Meta(min_length=1)]

ACCEPTED = ("X-Batch-Id", "X-Ignored-Count", "Location")

_QUERY = {
    "channels": (Channels, "Only these accounts get the list, such as `facebook,tiktok/eu`."),
    "disablePrefix": (bool, "The audience's name on platforms is exactly `name`."),
    "sync": (bool, "Answer when each platform is through, or the server's time for that is."),
    "detail": (bool, "Tell the batch id, what was ignored and, with `sync`, what each platform did."),
    "mode": (Mode, "Whether the users join the audience or leave it."),
    "resume": (bool, "The batch is of the newest run of its session, however long ago that was."),
}

UPLOAD = Operation(
    method="post",
    path="/audience",
    id="uploadBatch",
    tag="Uploads",
    summary="Upload a batch of users for an audience",
    description="Names almost those of parameters and parts are refused; all others are passed over, and told.",
    parameters=tuple(
        Parameter(name=name, place="query", type=type_, description=text) for name, (type_, text) in _QUERY.items()
    ),
    has_form=True,
    answers={
        **USUAL,
        200: Answer(
            description="All in-sync replicas of Kafka have every record; with `sync` every account succeeded, too.",
            content={JSON: UploadAnswer},
            headers=ACCEPTED,
        ),
        400: Answer(
            description="The request is wrong, and nothing was accepted; or with `sync` an account failed.",
            content={JSON: UploadFailure, TEXT: PlainRefusal},
            optional_headers=ACCEPTED,
        ),
        408: refusal("The body was too slow."),
        409: refusal("The sequence stands with something else, or has no place in the newest run.", "X-Batch-Id"),
        413: refusal("The body is too large, or has too many users."),
        415: refusal("The body is encoded as a whole."),
        500: Answer(
            description="Kafka refuses the records for good, or our code failed.",
            content={JSON: UploadFailure},
            optional_headers=("X-Batch-Id",),
        ),
        503: Answer(
            description="Come again: nothing was accepted, or Kafka did not confirm everything.",
            content={JSON: UploadFailure},
            headers=("Retry-After",),
            optional_headers=ACCEPTED,
        ),
        504: Answer(
            description="With `sync`: accepted, and an account is still at it, or nobody serves it.",
            content={JSON: UploadFailure},
            headers=ACCEPTED,
        ),
    },
)
