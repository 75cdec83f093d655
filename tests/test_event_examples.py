"""The stream on the page of events, docs/events.md, is what the server writes and `audience watch` reads."""

import json
import re
from pathlib import Path

import msgspec

from cli.watch.stream import EventLines
from producer.events.handler import COME_AGAIN
from producer.events.rendering import event, mark, with_ids
from producer.events.resources import AccountEvent, BatchEvent, LossEvent, SessionEvent

PAGE = (Path(__file__).parent.parent / "docs" / "events.md").read_text(encoding="utf-8")
TYPES: dict[str, type[msgspec.Struct]] = {
    "session": SessionEvent,
    "batch": BatchEvent,
    "account": AccountEvent,
    "loss": LossEvent,
}


def test_the_stream_of_the_page_is_written_and_read_to_the_letter() -> None:
    found = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert found
    lines, kinds, written = EventLines(), [], COME_AGAIN + mark("5f0c9b1e7a42-17")
    for line in found[1].splitlines():
        if line.startswith(":"):
            written += f"{line}\n\n".encode()
        if (one := lines.take(line)) is not None:
            decoded = msgspec.json.decode(one.data, type=TYPES[one.kind])
            assert json.loads(msgspec.json.encode(decoded)) == json.loads(one.data)
            kinds.append(one.kind)
            assert lines.last_id is not None
            written += with_ids([event(one.kind, decoded)], lines.last_id, lines.last_id)
    assert sorted(kinds) == sorted(TYPES)
    assert written.decode() == found[1]
