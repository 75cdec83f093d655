"""The server's stream of events, read again from where it broke off."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from cli.server_client import Server, StatusError, StreamBrokenError

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until a server is asked again, at first and at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as the server sends it: what it is of, and its resource as JSON."""

    kind: str
    data: str


@dataclass(slots=True)
class EventLines:
    """Puts events together from the lines of a stream, and keeps the last id.

    As our server writes them: a field has one line.
    """

    last_id: str | None = None
    _fields: dict[str, str] = field(default_factory=dict)

    def take(self, line: str) -> Event | None:
        """Take a line without its end; return the event that it ends, if any."""
        if line:
            name, _, value = line.partition(":")
            self._fields[name] = value.removeprefix(" ")
            return None
        fields, self._fields = self._fields, {}
        self.last_id = fields.get("id", self.last_id)
        return Event(kind=fields.get("event", "message"), data=fields["data"]) if "data" in fields else None


async def watched_events(
    server: Server,
    query: Mapping[str, str],
    say: Callable[[str], None],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncGenerator[Event, None]:
    """Yield events without end; where the connection breaks off or the server ends, go on as soon as one answers.

    Raises StatusError where no server answers at the start, or one refuses for good.
    """
    read, pause, has_begun = EventLines(), FIRST_PAUSE, False
    while True:
        headers = {} if read.last_id is None else {"Last-Event-ID": read.last_id}
        try:
            async with aclosing(server.lines("/events", query, headers)) as lines:
                async for line in lines:
                    if not has_begun or pause > FIRST_PAUSE:
                        say("Listening again." if has_begun else "Listening.")
                    has_begun, pause = True, FIRST_PAUSE
                    if (event := read.take(line)) is not None:
                        yield event
            broken = StreamBrokenError("the server ended the stream")
        except StreamBrokenError as error:
            if not has_begun:
                raise StatusError(str(error)) from None
            broken = error
        say(f"{broken}: asking again.")
        await sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)
