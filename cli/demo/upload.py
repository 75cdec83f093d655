"""The uploads of the demo: made-up people in one session."""

import json
import time
from collections.abc import Callable, Sequence

import aiohttp

from cli.demo.made_up_people import Person
from cli.demo.outcome import DemoFailedError

BATCHES = 3
AUDIENCE = "Demo customers"


async def upload(
    session: aiohttp.ClientSession, url: str, people: Sequence[Person], advance: Callable[[int], object]
) -> None:
    """Upload all people to a server in one session; the last batch waits for the platforms. Raises DemoFailedError.

    `advance` is called after each batch, with how many users it had.
    """
    session_id = int(time.time() * 1000)
    size = -(-len(people) // BATCHES)
    for sequence in range(1, BATCHES + 1):
        some = people[(sequence - 1) * size : sequence * size]
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("name", AUDIENCE)
        place = {
            "sessionId": session_id,
            "sequence": sequence,
            "totalBatches": BATCHES,
            "totalUsers": len(people),
        }
        form.add_field("batch", json.dumps(place))
        form.add_field("users", json.dumps([person.user for person in some]))
        query = {"sync": "true"} if sequence == BATCHES else {}
        async with session.post(f"{url}/audience", data=form, params=query) as response:
            if response.status not in (200, 504):  # the demo waits on where a sync request's time is over
                raise DemoFailedError(f"batch {sequence} was answered {response.status}: {await response.text()}")
        advance(len(some))
