"""The client for asyncio."""

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self, Unpack

from audience_client.http.batches import Accepted, BatchToSend
from audience_client.http.questions import Filters, Which
from audience_client.http.retry import OnWait, Retry
from audience_client.http.statuses import (
    AccountPage,
    BatchStatus,
    RejectedPage,
    Rejection,
    SessionStatus,
    SessionSummary,
)


class AsyncClient:
    """Talks to one Audience API. Calls may run side by side; every call may raise AudienceError.

    `url` is AUDIENCE_URL's unless it is given, else `http://127.0.0.1:8080`; `token` AUDIENCE_TOKEN's. `timeout` is
    how many seconds the server may be silent.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        timeout: float = 60.0,
        retry: Retry = Retry(),
        on_wait: OnWait | None = None,
    ) -> None:
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where the server is, without anything secret."""
        raise NotImplementedError

    async def send_batch(self, batch: BatchToSend) -> Accepted:
        """Send a batch until the server answers; what returns is in the log."""
        raise NotImplementedError

    async def session(self, session_id: int | str, **which: Unpack[Which]) -> SessionStatus:
        """Return the runs of a session. Raises NotKnownError where there is none."""
        raise NotImplementedError

    async def wait(
        self,
        session_id: int | str,
        *,
        timeout: float | None = None,
        on_status: Callable[[SessionStatus], None] | None = None,
        **which: Unpack[Which],
    ) -> SessionStatus:
        """Return once the newest run is over, or after so many seconds: `is_over` of what returns says which.

        `on_status` is called with each answer, some seconds apart. Where an account is blocked, it takes as long as
        that.
        """
        raise NotImplementedError

    async def batch(self, batch_id: str) -> BatchStatus:
        """Return how a batch stands. Raises NotKnownError."""
        raise NotImplementedError

    def sessions(self, **filters: Unpack[Filters]) -> AsyncIterator[SessionSummary]:
        """List sessions, the newest first."""
        raise NotImplementedError

    def rejected(self, session_id: int | str, **which: Unpack[Which]) -> AsyncIterator[Rejection]:
        """List whom accounts rejected in the newest run of a session. Raises NotKnownError."""
        raise NotImplementedError

    def rejected_pages(self, session_id: int | str, **which: Unpack[Which]) -> AsyncIterator[RejectedPage]:
        """The same by pages, which also say how many are listed nowhere."""
        raise NotImplementedError

    async def accounts(self) -> AccountPage:
        """Return how the server's accounts stand."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close the connections."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
