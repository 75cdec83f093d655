"""Whether the same request is sent again, and when: nothing here waits."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from audience_client.http.errors import UnreachableError
from audience_client.http.exchange import Answer, NoAnswer, Reply
from audience_client.http.retry import Retry, WaitNotice, Why
from audience_client.http.words import words_of

MOST_DOUBLED = 20
"""Doublings after which pauses no longer grow, whatever the longest is."""

_WHY: dict[int, Why] = {
    HTTPStatus.REQUEST_TIMEOUT: "too_slow",
    HTTPStatus.TOO_MANY_REQUESTS: "no_room",
    HTTPStatus.SERVICE_UNAVAILABLE: "no_room",
    HTTPStatus.BAD_GATEWAY: "proxy",
    HTTPStatus.GATEWAY_TIMEOUT: "proxy",
    **dict.fromkeys(range(520, 531), "proxy"),
}
"""520 to 530 are Cloudflare's: it could not reach the server, or not in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    why: Why
    words: str
    least: float = 0.0
    is_in_vain: bool = False


class Tries:
    """The tries of one request; begins with the first. `within` bounds them where it is less than what `retry` says."""

    def __init__(
        self,
        retry: Retry,
        *,
        within: float | None = None,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._retry = retry
        self._limit = min((limit for limit in (retry.give_up_after, within) if limit is not None), default=None)
        self._now = now
        self._chance = chance
        self._since = now()
        self._count = 0

    def after(self, reply: Reply) -> Answer | WaitNotice:
        """Return the answer where it counts, else when to send the same request again.

        Raises UnreachableError where no more tries are left, or none would fare better.
        """
        self._count += 1
        if isinstance(reply, NoAnswer):
            return self._notice(_Again(why="unreachable", words=reply.words, is_in_vain=reply.is_final))
        why = None if _is_acknowledged(reply) else _WHY.get(reply.status)
        if why is None:
            return reply
        return self._notice(_Again(why=why, words=words_of(reply), least=_retry_after(reply)))

    def _notice(self, again: _Again) -> WaitNotice:
        waited = self._now() - self._since
        seconds = self._pause(again.least)
        if again.is_in_vain or (self._limit is not None and waited + seconds > self._limit):
            raise UnreachableError(again.why, again.words, waited)
        return WaitNotice(why=again.why, words=again.words, seconds=seconds, attempt=self._count, waited=waited)

    def _pause(self, least: float) -> float:
        """Return how long to wait: at random, so that many who wait do not come at once, and not less than asked."""
        longest = self._retry.longest_pause
        doubled: float = self._retry.first_pause * 2.0 ** min(self._count - 1, MOST_DOUBLED)
        grown = min(longest, doubled) * (1 + self._chance()) / 2
        return min(longest, max(grown, least * (1 + self._chance() / 4)))


def _is_acknowledged(answer: Answer) -> bool:
    """Tell a server's 504 of a batch that it has from a proxy's."""
    return answer.status == HTTPStatus.GATEWAY_TIMEOUT and "x-batch-id" in answer.headers


def _retry_after(answer: Answer) -> float:
    """Return the seconds of `Retry-After`; a date counts from that of the answer, as clocks differ."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    until, now = _date(text), _date(answer.headers.get("date", ""))
    return max(0.0, (until - now).total_seconds()) if until and now else 0.0


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
