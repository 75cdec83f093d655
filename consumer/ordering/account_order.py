"""The order of all audiences of one account, as far as one process has them in flight."""

from dataclasses import dataclass, field

from consumer.ordering.removal_memory import RemovalMemory
from consumer.ordering.turns import Turns

_NEVER = float("-inf")


@dataclass(slots=True)
class AccountOrder:
    """Turns by audience and partition, and memories by audience. Audiences are named as the platform names them.

    Audiences never wait for each other. What nobody needs any more is let go, so that an audience without removals
    costs nothing but while its records are in flight.
    """

    log_id: str | None = None
    _turns: dict[int, dict[str, Turns]] = field(default_factory=dict)
    _memories: dict[str, RemovalMemory] = field(default_factory=dict)
    _calls_of_dead_until: dict[int, float] = field(default_factory=dict)

    def assigned(self, partition: int, calls_of_dead_until: float = _NEVER) -> None:
        """Begin a partition anew; who had it and did not leave in order may have calls under way until a time."""
        self._turns[partition] = {}
        self._calls_of_dead_until[partition] = calls_of_dead_until

    def given_up(self, partition: int) -> None:
        """Forget whose turn it is in a partition, which is another process's."""
        self._turns.pop(partition, None)
        self._calls_of_dead_until.pop(partition, None)

    def turns(self, audience: str, partition: int) -> Turns:
        """Return the turns of an audience's records in a partition."""
        of_partition = self._turns.setdefault(partition, {})
        turns = of_partition.get(audience)
        if turns is None:
            turns = Turns(calls_of_dead_until=self._calls_of_dead_until.get(partition, _NEVER))
            of_partition[audience] = turns
        return turns

    def memory(self, audience: str) -> RemovalMemory | None:
        """Return who was removed from an audience, None where nobody was: then nothing needs to be hashed."""
        return self._memories.get(audience)

    def memory_of_removals(self, audience: str) -> RemovalMemory:
        """Return the memory of an audience that has a removal."""
        return self._memories.setdefault(audience, RemovalMemory(log_id=self.log_id))

    def is_quiet(self, partition: int, now: float) -> bool:
        """Tell whether a partition can be left in order."""
        is_over = self._calls_of_dead_until.get(partition, _NEVER) <= now
        return is_over and all(turns.is_quiet(now) for turns in self._turns.get(partition, {}).values())

    def let_go(self, audience: str, partition: int, now: float) -> None:
        """Forget the turns of an audience where nothing of them needs to be known; to be called after an end."""
        of_partition = self._turns.get(partition, {})
        if audience in of_partition and of_partition[audience].is_idle(now):
            del of_partition[audience]

    def forget_before(self, partition: int, offset: int, elsewhere: float = float("inf")) -> None:
        """Forget what has left the log; see `RemovalMemory.forget_before`."""
        for audience, memory in list(self._memories.items()):
            memory.forget_before(partition, offset, elsewhere)
            if not memory:
                del self._memories[audience]
