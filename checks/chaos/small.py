"""Uploads of one to three people to few audiences, some of whom a platform refuses, and publishers of such records."""

import asyncio
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from checks.chaos.churn import POOL
from checks.chaos.verdict import MAY, MUST, Upload
from cli.demo.made_up_people import MOST_PEOPLE, make_people
from schemas.avro.codec import encode_audience_batch
from schemas.records import AudienceBatch, AudienceUser
from streams.client.errors import StreamError
from streams.client.settings import KafkaSettings
from streams.write.writer import Writer

SMALL = "Small"
"""What the names of these audiences begin with."""

AUDIENCES = 3
PEOPLE = 20_000
FIRST = MOST_PEOPLE - POOL - PEOPLE
"""The first of the people of these audiences, who are nobody else's; their number is also their session's."""

MOST = 3
"""People of one upload; most have one."""

BURSTS = (1, 1, 5, 20, 60)
"""Records that a publisher writes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """What a platform does about rows of some people: refuses calls with them or leaves them out, named or not."""

    provider: str
    fault: str
    names: bool = False


TASTES: Mapping[int, Taste] = {
    10: Taste(provider="facebook", fault="dislikes"),
    20: Taste(provider="facebook", fault="leaves_out"),
    30: Taste(provider="facebook", fault="leaves_out", names=True),
    40: Taste(provider="tiktok", fault="dislikes"),
    50: Taste(provider="klaviyo", fault="dislikes", names=True),
    60: Taste(provider="klaviyo", fault="dislikes"),
    70: Taste(provider="klaviyo", fault="leaves_out"),
    80: Taste(provider="klaviyo", fault="leaves_out", names=True),
}
"""By the last two digits of people's numbers, which are those of people whom every platform can use."""


def is_wanted(number: int, provider: str) -> bool:
    """Tell whether a platform takes somebody."""
    taste = TASTES.get(number % 100)
    return taste is None or taste.provider != provider


def faults() -> Iterator[dict[str, object]]:
    """Yield what the sandbox is told of these tastes, which are to stay."""
    for digits, taste in TASTES.items():
        numbers = range(FIRST + (digits - FIRST) % 100, FIRST + PEOPLE, 100)
        values = [person.members[taste.provider][0] for number in numbers for person in make_people(1, number)]
        yield {
            "provider": taste.provider,
            "fault": taste.fault,
            "names": taste.names,
            "values": values,
            "until": "cleared",
        }


@dataclass(slots=True)
class Small:
    """Draws uploads, for clients and publishers alike, until all people are used up."""

    chance: random.Random
    uploads: list[Upload] = field(default_factory=list)
    _next: int = FIRST

    def next(self) -> Upload | None:
        """Return the next upload, None where nobody is left."""
        count = self.chance.choice((1, 1, 1, 1, self.chance.randint(1, MOST)))
        if self._next + count > FIRST + PEOPLE:
            return None
        upload = Upload(audience=f"{SMALL} {self.chance.randrange(AUDIENCES)}", start=self._next, count=count)
        self._next += count
        self.uploads.append(upload)
        return upload

    def some(self, number: int) -> list[Upload]:
        """Return the next uploads, fewer where people are used up."""
        drawn = (self.next() for _ in range(number))
        return [upload for upload in drawn if upload is not None]


@dataclass(slots=True)
class Publisher:
    """A program that writes such records to the log itself, many at once; what is not confirmed it does not repeat."""

    kafka: KafkaSettings
    topic: str
    small: Small

    async def run(self, is_over: asyncio.Event) -> None:
        """Write until told to end."""
        chance = self.small.chance
        async with Writer(self.kafka) as writer, asyncio.TaskGroup() as tasks:
            while not is_over.is_set():
                for upload in self.small.some(chance.choice(BURSTS)):
                    tasks.create_task(self._write(writer, upload))
                await asyncio.sleep(chance.uniform(0.3, 2))

    async def _write(self, writer: Writer, upload: Upload) -> None:
        batch = batch_of(upload)
        upload.batch_ids.append(batch.batch_id)
        try:
            await writer.send(self.topic, batch.key, encode_audience_batch(batch))
        except StreamError:
            upload.note(MAY)
        else:
            upload.note(MUST)


def batch_of(upload: Upload) -> AudienceBatch:
    """Return an upload as the record that it is in the log."""
    return AudienceBatch(
        batch_id=str(uuid.uuid4()),
        name=upload.audience,
        session_id=str(upload.start),
        users=[msgspec.convert(user, AudienceUser) for user in upload.users()],
    )
