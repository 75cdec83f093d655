"""`python tests/parent.py`: a process that has a child at work for long, whose process id it prints."""

import asyncio

from deadly import sleep

from schemas.records import Origin
from streams.containment.quarantine import Trial
from streams.read.consumer_thread import Record

ORIGIN = Origin(topic="t", partition=0, offset=0)


async def main() -> None:
    """Start the child, say which one it is, and let it work."""
    async with Trial(sleep) as tried:
        await tried.ends_process(Record(origin=ORIGIN))
        assert tried._child is not None
        print(tried._child.pid, flush=True)  # noqa: T201 -- for the test that started us
        await tried.ends_process(Record(origin=ORIGIN, value=b"x"))


if __name__ == "__main__":
    asyncio.run(main())
