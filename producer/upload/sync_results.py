"""What the platforms did with an upload, as its sync answer tells it."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from operator import itemgetter

from ledger.final_outcomes import added_up, last_words
from ledger.status import StateOf, shared_calls, shared_unplaced, with_identifier
from ledger.view import EndRow
from ledger.view_updater import Following
from schemas.error_words import VOCABULARY
from schemas.records import TERMINAL, AccountState, Origin
from schemas.target import Target

SUCCESSES = frozenset({"delivered", "partial"})

SEARCHED = "unisolated"
"""Error of a record whose first try is over, while rows that the platform refuses are still being looked for."""

NO_IDENTIFIER = "no_identifier"
"""Why a user is rejected who has nothing that a platform knows people by."""

TOLERATED = 1
"""Percent of the users that may be open in a success."""


@dataclass(slots=True)
class Result:
    """What one target did with all parts of a request."""

    target: Target
    parts: list[EndRow]
    is_complete: bool
    blocked: AccountState | None = None
    """How the account stands, where it is parked and not through with all parts."""

    @property
    def accepted(self) -> int:
        """Users that the platform took."""
        return sum(part.accepted for part in self.parts)

    @property
    def received(self) -> int:
        """Users of all parts."""
        return sum(part.received for part in self.parts)

    @property
    def open(self) -> int:
        """Users that are neither accepted nor rejected after the first try."""
        return sum(part.open for part in self.parts)

    @property
    def is_unisolated(self) -> bool:
        """All is over or tried again, and too many users are open; of a removal anybody who may be in still."""
        tolerated = 0 if self.removes else TOLERATED * self.received
        return self.is_complete and 100 * self.open > tolerated

    @property
    def removes(self) -> bool:
        """Whether the users are to leave the audience."""
        return any(part.mode == "remove" for part in self.parts)

    @property
    def not_removed(self) -> int:
        """Users of a removal with an identifier of the platform, which it did not take."""
        return with_identifier(self.reasons) if self.removes else 0

    @property
    def is_failure(self) -> bool:
        """A part failed, the account is parked, too many users are open, or all is over and nobody was accepted.

        Of a removal also where the platform did not take a single user that it could have taken.
        """
        if self.failed is not None or self.blocked is not None or self.is_unisolated:
            return True
        return self.is_complete and (self.not_removed > 0 or all(part.is_in_vain for part in self.parts))

    @property
    def failed(self) -> EndRow | None:
        """The first part that came to no success."""
        return next((part for part in self.parts if part.status not in SUCCESSES and not _is_searched(part)), None)

    @property
    def reasons(self) -> dict[str, int]:
        """How many users were rejected for which reason."""
        return added_up(part.reasons for part in self.parts)

    @property
    def status(self) -> str:
        """One word for all parts."""
        if self.failed is not None:
            return self.failed.status
        if self.blocked is not None:
            return "blocked"
        if not self.is_complete:
            return "waiting"
        if any(map(_is_searched, self.parts)):
            return "retrying"
        return "partial" if self.reasons else "delivered"

    def why(self) -> str:
        """Say why a failure is one, without a value of any user."""
        if self.failed is not None:
            return f"{self.failed.error_code or self.failed.status}{_facts(self.failed)}"
        if self.blocked is not None:
            return f"blocked: {self.blocked.error_code}{_facts(self.blocked)}"
        if self.open:
            return f"{SEARCHED}: {self.open} of {self.received}, tried again"
        listed = ", ".join(
            f"{reason}: {count}" for reason, count in nlargest(5, self.reasons.items(), key=itemgetter(1))
        )
        if self.not_removed:
            return f"{self.not_removed} of {self.received} users were not removed ({listed})"
        return f"no user was removed ({listed}){self._remedy}" if self.removes else f"no user was accepted ({listed})"

    @property
    def _remedy(self) -> str:
        """What to do where a removal names nobody, as the rest of a sentence."""
        return f". {VOCABULARY[NO_IDENTIFIER].remedy}" if NO_IDENTIFIER in self.reasons else ""

    def as_json(self) -> dict[str, object]:
        """Return the result for `detail=true`."""
        failed = self.failed or self.blocked
        return {
            "provider": self.target.provider,
            "account": self.target.account or None,
            "status": self.status,
            "received": self.received,
            "accepted": self.accepted,
            "rejected": sum(part.rejected for part in self.parts),
            "open": self.open,
            "reasons": self.reasons,
            "repaired": added_up(part.repaired for part in self.parts),
            "dropped": added_up(part.dropped for part in self.parts),
            "error": failed.error_code if failed else None,
            "platformCode": failed.platform_code if failed else None,
            "requestId": failed.request_id if failed else None,
            **self._by_mode(),
            **self._shared(),
        }

    def _shared(self) -> dict[str, object]:
        """Return what is told of calls in which users of other batches went, too."""
        calls = shared_calls(call for part in self.parts for call in part.shared_calls)
        unplaced = shared_unplaced(self.parts)
        return {**({"sharedCalls": calls} if calls else {}), **({"sharedUnplaced": unplaced} if unplaced else {})}

    def _by_mode(self) -> dict[str, object]:
        """Return what is told of removals, and of additions that a later removal decides about."""
        superseded = sum(part.superseded for part in self.parts)
        if not self.removes:
            return {"superseded": superseded} if superseded else {}
        removed = [part.removed for part in self.parts if part.removed is not None]
        return {
            "removed": sum(removed) if removed else None,
            "superseded": superseded,
            "otherIdentifiersUnknown": sum(part.other_identifiers_unknown for part in self.parts),
        }


def _is_searched(part: EndRow) -> bool:
    return part.status not in TERMINAL and part.error_code == SEARCHED


def _facts(end: EndRow | AccountState) -> str:
    """Return the platform's code and request id in brackets, nothing where it gave none."""
    request = end.request_id and f"request {end.request_id}"
    facts = ", ".join(fact for fact in (end.platform_code, request) if fact)
    return f" ({facts})" if facts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What the targets did with records, as the view has it."""

    following: Following
    state_of: StateOf

    def of(self, origins: Sequence[Origin], targets: Sequence[Target]) -> list[Result]:
        """Return what each target did with these records, by its last word or by its first try of a search."""
        words = [word.end for word in last_words(self.following.view.ends_of(origins))]
        ends = [end for end in words if end.status in TERMINAL or _is_searched(end)]
        return [self._result(target, [end for end in ends if end.target == str(target)], origins) for target in targets]

    def _result(self, target: Target, parts: list[EndRow], origins: Sequence[Origin]) -> Result:
        is_complete = len(parts) == len(origins)
        state = None if is_complete else self.state_of(target)
        return Result(target, parts, is_complete, state if state and state.state == "blocked" else None)

    async def wait(
        self, origins: Sequence[Origin], targets: Sequence[Target], changed: asyncio.Event, timeout: float
    ) -> list[Result]:
        """Return when every target is through with every record or parked, or the time is over.

        `changed` is set whenever the view has something new of them; what is over already is told at once.
        Raises ViewAwayError.
        """
        until = asyncio.get_running_loop().time() + timeout
        answered: dict[Target, Result] = {}
        while True:
            changed.clear()
            results = await self.following.ask(lambda: self.of(origins, targets))
            answered |= {result.target: result for result in results if result.is_complete}
            results = [answered.get(result.target, result) for result in results]  # a first try's end stays said
            left = until - asyncio.get_running_loop().time()
            if left <= 0 or all(result.is_complete or result.blocked for result in results):
                return results
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await changed.wait()
