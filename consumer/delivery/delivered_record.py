"""A record that is delivered, without its users: what its delivery goes by."""

import uuid
from dataclasses import dataclass

from consumer.delivery.outcome import Outcome
from consumer.ordering.standing import NEVER
from consumer.removals.account_removals import AccountRemovals
from consumer.removals.late_record import RecordInOrder
from consumer.retries.attempts import Attempts
from providers.kit.call_limits import Limits
from providers.kit.current_record import CurrentRecord
from providers.kit.errors import PlatformError, platform_error
from providers.kit.provider import AnyProvider
from schemas.records import LIVE, AudienceBatch, Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredRecord:
    """One record on its way to one account.

    `order` is what it is among the records of its audience, None where nobody is ever removed.
    """

    batch: AudienceBatch
    """Without users."""
    name: str
    """What the platform calls its audience."""
    audience: str
    """What the audience is known by: see `audience_key`."""
    attempts: Attempts
    outcome: Outcome
    order: RecordInOrder | None

    @property
    def is_removal(self) -> bool:
        """Whether its users are taken out."""
        return self.batch.mode == "remove"

    @property
    def may_share_calls(self) -> bool:
        """Whether its rows may go in a call with those of others: not where it is done once more, for some users.

        One that a process may have died of may share: it was tried in a child process, and there may be thousands.
        """
        return self.order is None or self.order.only is None

    def limits(self, provider: AnyProvider) -> Limits:
        """Return the limits of its calls."""
        return provider.removal_limits if self.is_removal else provider.limits

    def why_not_removable(self, provider: AnyProvider, removals: AccountRemovals | None) -> PlatformError | None:
        """Return why nobody can be removed at all, None for a record that may go."""
        if not self.is_removal:
            return None
        if provider.removal is None:
            return platform_error("cannot_remove")
        if removals is None or removals.keys is None or self.order is None:
            return platform_error("no_hash_keys")
        return None

    def as_current(self, removals: AccountRemovals | None, called: str) -> CurrentRecord:
        """Return what the provider may know of it; one that is sent once more on purpose has an id of its own."""
        order = self.order
        if order is None or removals is None:
            return CurrentRecord(id="")
        place, standing = order.standing.place, order.standing
        origin = Origin(topic=removals.memory.topic, partition=place.partition, offset=place.offset)
        again = f" {uuid.uuid4().hex}" if standing.is_suspect or order.only is not None else ""
        return CurrentRecord(
            id=f"{removals.log_id or ''} {origin} {called}{again}",
            job_taken=lambda job_id: removals.job_taken(job_id, self.audience, origin),
            job_ended=removals.job_ended,
        )

    def is_to_be_settled(self, called: str) -> bool:
        """Tell whether calls may have undone what later records did, and nobody else will see to that.

        Who comes with the pointer of a record that is tried again later settles it then; a replay has no pointers.
        """
        if self.order is None:
            return False
        standing, outcome = self.order.standing, self.outcome
        if outcome.is_given_up:
            return outcome.is_sent
        if outcome.postponed is not None and (called == LIVE or outcome.postponed.is_progressing):
            return False
        has_called = outcome.is_sent or outcome.progress_before is not None
        return standing.is_late and (has_called or standing.is_suspect or standing.calls_until > NEVER)
