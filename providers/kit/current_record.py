"""The record of the log that calls are made for: the consumer sets it, and a provider may read it."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


async def _ignored(job_id: str) -> None:
    del job_id


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRecord:
    """A record as a provider meets it.

    `id` is its own, and the same when it is tried again; a record that is sent once more on purpose has another one.
    """

    id: str
    job_taken: Callable[[str], Awaitable[None]] = _ignored
    job_ended: Callable[[str], Awaitable[None]] = _ignored


_current: ContextVar[CurrentRecord | None] = ContextVar("current_record", default=None)


@contextmanager
def calls_for(record: CurrentRecord) -> Iterator[None]:
    """Say which record calls are made for while the block is entered, and in tasks that are begun in it."""
    token = _current.set(record)
    try:
        yield
    finally:
        _current.reset(token)


def current_record() -> CurrentRecord | None:
    """Return the record that a call is made for, None where it is for none."""
    return _current.get()


def record_id() -> str:
    """Return the id of the record that a call is made for, empty where it is for none, as in a preview.

    For platforms that tell repeated calls by an id.
    """
    record = _current.get()
    return record.id if record else ""


async def job_taken(job_id: str) -> None:
    """Say that the platform has taken a job of the call, before it is waited for; returns when that is remembered.

    A removal waits until such a job has ended, by `Provider.has_ended`, also where our process has died.
    """
    if record := _current.get():
        await record.job_taken(job_id)


async def job_ended(job_id: str) -> None:
    """Say that a job has ended, well or not: it changes nothing any more."""
    if record := _current.get():
        await record.job_ended(job_id)
