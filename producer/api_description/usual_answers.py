"""The headers that answers have, and the answers that any operation may give."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from producer.api_description.answer_bodies import Failure
from producer.api_description.operations import JSON, Answer, Header

Count = Annotated[str, Meta(pattern=r"^[0-9]+$")]

HEADERS: Mapping[str, Header] = {
    "X-Batch-Id": Header(type=str, description="Id of the batch that the answer is about."),
    "X-Ignored-Count": Header(type=Count, description="How often a name came that nobody knows."),
    "Location": Header(type=str, description="Where the batch's status is."),
    "Retry-After": Header(type=Count, description="Seconds after which to send the same again."),
    "WWW-Authenticate": Header(type=str, description="That a bearer token is asked for."),
    "X-Unlisted-Count": Header(type=Count, description="`unlisted` of the same page as JSON."),
    "X-Next-Cursor": Header(type=str, description="`next` of the same page as JSON; without it this is the last page."),
    "Content-Disposition": Header(type=str, description="That the page is a file to save."),
}
"""Every header that an answer may have for a client's program to go by."""


def refusal(description: str, *headers: str) -> Answer:
    """Return a refusal in the usual form."""
    return Answer(description=description, content={JSON: Failure}, headers=headers)


WITHOUT_TOKEN: Mapping[int, Answer] = {
    400: refusal("The request can't be read, or a value of it is wrong."),
    403: refusal("The server has no tokens, and another host or a web page of another origin asks."),
    417: refusal("`Expect` names something other than 100-continue."),
    500: refusal("Our code failed; the server's log describes it."),
}
"""What any operation may answer besides its own."""

USUAL: Mapping[int, Answer] = {
    **WITHOUT_TOKEN,
    400: refusal("The request can't be read, a value of it is wrong, or its query has a name that is not described."),
    401: refusal("The server has tokens, and none of them was sent.", "WWW-Authenticate"),
}
"""What an operation may answer besides its own that asks for a token."""
