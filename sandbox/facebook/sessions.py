"""Meta's upload sessions: their rules, and what has come in each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.facebook.errors import meta_error
from sandbox.kit.platform import Refusal, whole

SESSION_SECONDS = 90 * 60

TIMED_OUT = 1870158
FIRST_BATCH_MISSING = 1870147
FINISHED = 1870159


@dataclass(slots=True, kw_only=True)
class Session:
    """One upload session."""

    id: int
    audience: str
    schema: tuple[str, ...]
    opened_at: float
    opened: datetime = field(default_factory=lambda: datetime.now(UTC))
    next_batch: int = 1
    received: int = 0
    invalid: int = 0
    is_finished: bool = False

    def take(self, rows: int, invalid: int, *, is_last: bool) -> None:
        """Count a batch that was let in."""
        self.next_batch += 1
        self.received += rows
        self.invalid += invalid
        self.is_finished = is_last

    def shown(self) -> dict[str, str]:
        """Return the session as Meta shows it: all of it text, its stage for ever `uploading`.

        That a finished session stays so is what a public issue of Meta's Java SDK (492) reports.
        """
        return {
            "session_id": str(self.id),
            "start_time": str(int(self.opened.timestamp())),
            "end_time": "0",
            "num_received": str(self.received),
            "num_matched": "-1",
            "num_invalid_entries": str(self.invalid),
            "progress": "0",
            "stage": "uploading",
        }


class Sessions:
    """The sessions of all accounts; an id is one account's and stays with one audience."""

    def __init__(self) -> None:
        self._sessions: dict[tuple[str, int], Session] = {}

    def of(self, audience_id: str) -> list[Session]:
        """Return an audience's sessions."""
        return [session for session in self._sessions.values() if session.audience == audience_id]

    def forget(self, account: str | None) -> None:
        """Drop the sessions of one account or of all."""
        for key in [key for key in self._sessions if account in (None, key[0])]:
            del self._sessions[key]

    def admit(
        self, given: Mapping[str, Any], account: str, audience_id: str, schema: tuple[str, ...], now: float
    ) -> Session:
        """Return the session that a batch may go into. Raises Refusal.

        Which code a repeated or a skipped number gets on /users is not documented: taken to be that of a
        missing first batch while there is no session, else that of a wrong parameter.
        """
        number, batch = numbers_of(given)
        session = self._sessions.get((account, number))
        if session is None:
            if batch != 1:
                raise Refusal(meta_error(2650, FIRST_BATCH_MISSING))
            session = Session(id=number, audience=audience_id, schema=schema, opened_at=now)
            self._sessions[account, number] = session
            return session
        _check_open(session, now)
        if session.audience != audience_id or session.schema != schema or session.next_batch != batch:
            raise Refusal(meta_error(100, blame="session"))
        return session


def numbers_of(given: Mapping[str, Any]) -> tuple[int, int]:
    """Return the session's id and the batch's number. Raises Refusal where they are none."""
    number, batch = whole(given.get("session_id")), whole(given.get("batch_seq"))
    total = whole(given.get("estimated_num_total", 0))
    is_flag = given.get("last_batch_flag") in (True, False, "true", "false")
    if number is None or not 0 < number < 2**63 or batch is None or batch < 1 or not is_flag:
        raise Refusal(meta_error(100, blame="session"))
    if total is None or total < 0:
        raise Refusal(meta_error(100, blame="session"))
    return number, batch


def _check_open(session: Session, now: float) -> None:
    if session.is_finished:
        raise Refusal(meta_error(2650, FINISHED))
    if now - session.opened_at > SESSION_SECONDS:
        raise Refusal(meta_error(2650, TIMED_OUT))
