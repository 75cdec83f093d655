"""`audience dead-letters`: what failed, why, and what it was."""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from rich.console import Console

from cli.dead_letters.failures import Letters, Wanted, target_of
from cli.dead_letters.printing import (
    COLUMNS,
    Content,
    Shown,
    cells,
    counted,
    lines_of,
    object_of,
    summary,
)
from cli.printing.tables import print_lines, print_objects, print_rows
from cli.undecodable import Undecodable
from schemas.avro.codec import decode_audience_batch, decode_batch_completion
from schemas.avro.framing import Framing, UndecodableError
from schemas.records import BatchCompletion, Origin
from schemas.validity import is_uuid
from streams.client.errors import KafkaUnreachableError
from streams.client.settings import KafkaSettings
from streams.cluster.topic_ids import log_id
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.record_fetcher import RecordFetcher
from streams.read.tail import scan

_ORIGIN = re.compile(r"([A-Za-z0-9._-]+)-([0-9]{1,9})@([0-9]{1,18})")


class NoSuchLetterError(Exception):
    """No dead letter is where one was asked for."""


QUARANTINED = Content("The record is quarantined: it ends the process that reads it, so it is not shown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Where letters and the records that they point at are read."""

    kafka: KafkaSettings
    names: TopicNames
    framing: Framing

    async def letters(self) -> tuple[Letters, Undecodable]:
        """Read all completions and fold them. Raises KafkaUnreachableError, RegistryUnavailableError."""
        letters = Letters(log_id=await log_id(self.kafka, self.names.batches))
        undecodable = Undecodable("completions", self.framing)

        def take(record: Record) -> None:
            letters.take(decode_batch_completion(record.value, self.framing), record.timestamp)

        await scan(self.kafka, self.names.completions, undecodable.counted(take))
        return letters, undecodable

    async def content(self, origin: Origin) -> Content:
        """Fetch the record of a letter. Raises RegistryUnavailableError."""
        try:
            record = await RecordFetcher(self.kafka).fetch(origin)
        except KafkaUnreachableError as error:
            return Content(str(error))
        if record is None:
            return Content("The record has left the log, and its users with it.")
        if record.error is not None:
            return Content(f"The client can't read the record ({record.error}).")
        try:
            return Content(batch=decode_audience_batch(record.value, self.framing))
        except UndecodableError as error:
            return Content(f"The record has {len(record.value)} bytes and can't be decoded: {error}.")


async def list_letters(post: Post, wanted: Wanted, now: datetime, *, as_json: bool) -> None:
    """Print the letters that are wanted, the newest first, and how many they are on standard error.

    Raises KafkaUnreachableError, RegistryUnavailableError, NotAllReadError.
    """
    letters, undecodable = await post.letters()
    standing = letters.standing()
    chosen = [letter for letter in standing if wanted.has(letter, now)]
    if as_json:
        print_objects(map(summary, chosen))
    elif chosen:
        print_rows(COLUMNS, list(map(cells, chosen)), Console())
    sys.stdout.flush()
    print_lines(undecodable.lines(), sys.stderr)
    if standing or not undecodable.fault():
        print_lines(counted(chosen, len(standing)), sys.stderr)
    undecodable.check()


async def show_letters(post: Post, place: str, shown: Shown, *, as_json: bool) -> None:
    """Print the letters of an origin or of a batch, and the records that they point at.

    Raises NoSuchLetterError, KafkaUnreachableError, RegistryUnavailableError, NotAllReadError.
    """
    is_meant = _meant(place, post.names.batches)
    letters, undecodable = await post.letters()
    print_lines(undecodable.lines(), sys.stderr)
    found = sorted(filter(is_meant, letters.standing()), key=lambda letter: (letter.origin, target_of(letter)))
    if not found:
        undecodable.check()
        raise NoSuchLetterError(f"no dead letter stands at {place}: nothing failed there, or it got through since")
    for origin, group in groupby(found, key=lambda letter: letter.origin):
        its = list(group)
        is_quarantined = any(letter.error_code == "quarantined" for letter in its)
        content = QUARANTINED if is_quarantined else await post.content(origin)
        if as_json:
            print_objects([object_of(its, content, shown)])
        else:
            print_lines(lines_of(its, content, shown))


def _meant(place: str, topic: str) -> Callable[[BatchCompletion], bool]:
    """Return what tells the letters of a place. Raises NoSuchLetterError where the text is none."""
    if is_uuid(place):
        return lambda letter: (letter.batch_id or "").lower() == place.lower()
    match = _ORIGIN.fullmatch(place)
    if match is None:
        raise NoSuchLetterError(f"write where the record stands, such as {topic}-3@17, or a batch id")
    origin = Origin(topic=match[1], partition=int(match[2]), offset=int(match[3]))
    if origin.topic != topic:
        raise NoSuchLetterError(f"the log is {topic}, and dead letters point at nothing else, such as {topic}-3@17")
    return lambda letter: letter.origin == origin
