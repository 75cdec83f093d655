"""When a session that is waited for is asked about again."""

import time
from collections.abc import Callable

from audience_client.http.errors import NotKnownError
from audience_client.http.statuses import SessionStatus

SHORTEST, LONGEST = 0.2, 5.0
"""Seconds between two questions: each reads the whole session, and a long one does not change by that."""

SHARE = 0.1
"""How much later than it is over a session is found to be, of the time that it took."""

UNKNOWN_FOR = 10.0
"""Seconds in which a server may hear of a session that another one took."""

OnStatus = Callable[[SessionStatus], None]


class Waiting:
    """How long a session has been waited for, and how long it will be."""

    def __init__(
        self, timeout: float | None, on_status: OnStatus | None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._timeout = timeout
        self._on_status = on_status
        self._now = now
        self._since = now()

    @property
    def left(self) -> float | None:
        """Seconds that are left; None is for ever."""
        return None if self._timeout is None else max(0.0, self._timeout - self._waited)

    @property
    def _waited(self) -> float:
        return self._now() - self._since

    def after(self, found: SessionStatus | NotKnownError) -> SessionStatus | float:
        """Return the status once it is over or the time is, else the seconds until the next question.

        Raises the NotKnownError of a session that stays unknown.
        """
        if isinstance(found, NotKnownError):
            return self._until_known(found)
        if self._on_status is not None:
            self._on_status(found)
        return found if found.is_over or self.left == 0 else self._pause()

    def _until_known(self, error: NotKnownError) -> float:
        if self._waited >= UNKNOWN_FOR or self.left == 0:
            raise error
        return self._pause()

    def _pause(self) -> float:
        pause = min(LONGEST, max(SHORTEST, SHARE * self._waited))
        return pause if self.left is None else min(pause, self.left)
