"""What needs a person, by how much it matters: pure, from what the pages read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from console.formats import number, path_part
from ledger.resources import AccountPage, AccountStatus, SessionSummary
from ledger.view import SessionKey
from schemas.target import Target

MOST_ALIKE = 3
"""Sessions in one state that are told one by one."""


class Found(Protocol):
    """What was read of the view that may need a person."""

    @property
    def incomplete(self) -> Sequence[SessionSummary]:
        """Sessions of which batches are missing."""

    @property
    def failed_sessions(self) -> Sequence[SessionKey]:
        """Sessions of which an account gave up a part."""

    @property
    def for_nobody(self) -> Sequence[SessionKey]:
        """Sessions that no account takes."""

    @property
    def failed(self) -> Mapping[str, int]:
        """How many records each account gave up."""

    @property
    def invalid(self) -> int:
        """Records that nobody can use."""

    @property
    def quarantined(self) -> int:
        """Records that end the process that reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """Something that a person should look at: what, why, what to do, where to read on, a command and what it is for."""

    state: str
    title: str
    text: str
    link: str
    command: str = ""
    hint: str = ""


def name_of(account: AccountStatus) -> str:
    """Return an account's name."""
    return str(Target(account.provider, account.account or ""))


def session_link(session: SessionKey | SessionSummary) -> str:
    """Return the path of a session's page."""
    query = f"name={path_part(session.name)}&type={session.type}&mode={session.mode}"
    return f"/sessions/{path_part(session.session_id)}?{query}"


def concerns(page: AccountPage, found: Found) -> list[Concern]:
    """Return what needs a person: accounts first, then what was lost or given up, then sessions."""
    return [
        *(concern for account in page.accounts for concern in _of_account(account)),
        *_given_up(found.failed),
        *_unusable(found.invalid, found.quarantined),
        *_of_page(page),
        *_few("incomplete", "miss batches", map(_incomplete, found.incomplete)),
        *_few("failed", "failed", map(_failed, found.failed_sessions)),
        *_few("nobody", "are for nobody", map(_for_nobody, found.for_nobody)),
    ]


def _of_account(account: AccountStatus) -> Iterator[Concern]:
    name = name_of(account)
    if account.state == "blocked":
        error = account.error
        text = f"{error.meaning} {error.remedy}" if error else "It waits for somebody."
        yield Concern(
            state="blocked",
            title=f"{name} is blocked" + (f": {error.code}" if error else ""),
            text=f"{text} Nothing is lost: it goes on by itself then.",
            link="/accounts",
            hint="To ask it now whether it lets you in:",
            command=f"audience check --provider {name}",
        )
    if account.has_consumer is False:
        yield Concern(
            state="failed",
            title=f"Nobody delivers to {name}",
            text="No consumer of this account is running: what is uploaded waits in the log.",
            link="/accounts",
            hint="To start one:",
            command=f"audience consume --provider {name}",
        )
    if lost := sum(loss.records for loss in account.lost):
        yield Concern(
            state="failed",
            title=f"{name} lost {number(lost)} record{'' if lost == 1 else 's'}",
            text="They left the log before the account had read them. Upload them again.",
            link="/accounts",
        )


def _given_up(failed: Mapping[str, int]) -> Iterator[Concern]:
    for target, count in failed.items():
        if count:
            yield Concern(
                state="failed",
                title=f"{number(count)} dead letter{'' if count == 1 else 's'} of {target}",
                text="These records were given up. See why, then send them again.",
                link="/dead-letters",
                hint="To list them:",
                command=f"audience dead-letters list --provider {target}",
            )


def _unusable(invalid: int, quarantined: int) -> Iterator[Concern]:
    if quarantined:
        yield Concern(
            state="failed",
            title=f"{number(quarantined)} record{'' if quarantined == 1 else 's'} quarantined",
            text="They end the process that reads them, so nobody does.",
            link="/dead-letters#invalid",
        )
    if invalid:
        yield Concern(
            state="failed",
            title=f"{number(invalid)} record{'' if invalid == 1 else 's'} of the log nobody can use",
            text="They break a rule or can't be decoded. Whoever published them should know.",
            link="/dead-letters#invalid",
            hint="To list them:",
            command="audience dead-letters list --invalid",
        )


def _of_page(page: AccountPage) -> Iterator[Concern]:
    for one in page.open_transactions:
        yield Concern(
            state="waiting",
            title=f"A publisher's transaction is open in partition {one.partition}",
            text=f"What stands there from offset {one.offset} on waits for its end.",
            link="/accounts",
        )
    if page.unread:
        yield Concern(
            state="failed",
            title=f"{number(page.unread)} reports can't be read by this node",
            text="They are of a newer version: what they say is missing here until this node is updated.",
            link="/accounts",
        )


def _few(state: str, what: str, found: Iterable[Concern]) -> Iterator[Concern]:
    """Yield the first of what is alike, and one that leads to the others."""
    alike = list(found)
    yield from alike[:MOST_ALIKE]
    if len(alike) > MOST_ALIKE:
        yield Concern(
            state=state,
            title=f"More sessions {what}",
            text=f"The newest {MOST_ALIKE} are told above.",
            link=f"/sessions?state={state}",
        )


def _incomplete(session: SessionSummary) -> Concern:
    missing = f"{number(len(session.missing))} of {number(session.total_batches)}"
    return Concern(
        state="incomplete",
        title=f"Batches of {session.name} are missing",
        text=f"{missing} of session {session.session_id} have not come. Send them.",
        link=session_link(session),
    )


def _failed(session: SessionKey) -> Concern:
    return Concern(
        state="failed",
        title=f"A part of {session.name} failed",
        text=f"An account gave it up. The page of session {session.session_id} says what to do.",
        link=session_link(session),
    )


def _for_nobody(session: SessionKey) -> Concern:
    return Concern(
        state="nobody",
        title=f"Nobody takes {session.name}",
        text=f"No account that is configured here takes session {session.session_id}.",
        link=session_link(session),
    )
