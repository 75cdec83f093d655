"""The client for threads."""

import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx2

from audience_client.http import calls, early_refusal, transport
from audience_client.http.address import address
from audience_client.http.batches import Accepted, BatchToSend
from audience_client.http.calls import Call, Filters, Which
from audience_client.http.exchange import Answer, Reply, Request
from audience_client.http.retry import STANDARD, OnWait, Retry
from audience_client.http.statuses import (
    AccountPage,
    BatchStatus,
    RejectedPage,
    Rejection,
    SessionStatus,
    SessionSummary,
)
from audience_client.http.tries import Tries
from audience_client.http.waiting import OnStatus, Waiting

T = TypeVar("T")


class ServerClient:
    """Talks to one Audience API. Threads may share it; every call may raise an AudienceError.

    `url` is AUDIENCE_URL's unless it is given, else `http://127.0.0.1:8080`; `token` AUDIENCE_TOKEN's. `timeout` is
    how many seconds the server may be silent. `on_wait` is told before each pause until the next try. InputError where
    URL, token or the environment's proxy are not such.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retry: Retry = STANDARD,
        on_wait: OnWait | None = None,
    ) -> None:
        self._address = address(url, token)
        self._retry = retry
        self._on_wait = on_wait
        self._http = transport.opened(httpx2.Client, self._address, timeout)

    @property
    def url(self) -> str:
        """Where the server is; nothing in it is secret."""
        return self._address.url

    def send_batch(self, batch: BatchToSend) -> Accepted:
        """Send a batch until the server answers; what returns is in the log."""
        return self._run(calls.send_batch(batch))

    def session(self, session_id: int | str, **which: Unpack[Which]) -> SessionStatus:
        """Return the runs of a session. Raises NotKnownError where there is none."""
        return self._run(calls.session(session_id, **which))

    def wait(
        self,
        session_id: int | str,
        *,
        timeout: float | None = None,
        on_status: OnStatus | None = None,
        **which: Unpack[Which],
    ) -> SessionStatus:
        """Return once the newest run is over, or after so many seconds: `is_over` of what returns says which.

        `on_status` is called with each answer, some seconds apart. While an account is blocked nothing is over there.
        """
        waiting = Waiting(timeout, on_status)
        while True:
            found = self._run(calls.session_if_known(session_id, **which), within=waiting.left)
            after = waiting.after(found)
            if isinstance(after, SessionStatus):
                return after
            time.sleep(after)

    def batch(self, batch_id: str) -> BatchStatus:
        """Return how a batch stands. Raises NotKnownError."""
        return self._run(calls.batch(batch_id))

    def sessions(self, **filters: Unpack[Filters]) -> Iterator[SessionSummary]:
        """List sessions, the newest first."""
        cursor: str | None = None
        while True:
            page = self._run(calls.sessions_page(cursor, **filters))
            yield from page.sessions
            cursor = page.next
            if cursor is None:
                return

    def rejected(self, session_id: int | str, **which: Unpack[Which]) -> Iterator[Rejection]:
        """List whom accounts rejected in the newest run of a session. Raises NotKnownError."""
        for page in self.rejected_pages(session_id, **which):
            yield from page.rejected

    def rejected_pages(self, session_id: int | str, **which: Unpack[Which]) -> Iterator[RejectedPage]:
        """List the same by pages, which also say how many are listed nowhere."""
        cursor: str | None = None
        while True:
            page = self._run(calls.rejected_page(session_id, cursor, **which))
            yield page
            cursor = page.next
            if cursor is None:
                return

    def accounts(self) -> AccountPage:
        """Return how the server's accounts stand."""
        return self._run(calls.accounts())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, call: Call[T], *, within: float | None = None) -> T:
        """Send a request until an answer counts, and read that."""
        tries = Tries(self._retry, within=within)
        while True:
            after = tries.after(self._exchange(call.request))
            if isinstance(after, Answer):
                return call.read(after)
            if self._on_wait is not None:
                self._on_wait(after)
            time.sleep(after.seconds)

    def _exchange(self, request: Request) -> Reply:
        built = self._http.build_request(**transport.arguments(self._address, request))
        reply = self._send(built)
        if early_refusal.is_head_needed(request, reply):
            refusal = self._send(early_refusal.head_alone(built))
            return refusal if early_refusal.is_refused_by_head(refusal) else reply
        return reply

    def _send(self, built: httpx2.Request) -> Reply:
        handled = sys.exception()
        try:
            return transport.answer(self._http.send(built))
        except httpx2.RequestError as error:
            return transport.no_answer(error, self.url, handled)
