"""Whether people may be taken out: who reads the log must know how, before anybody writes that."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from producer.answers import no_room
from schemas.target import Target
from streams.tables.removals import HASH_KEYS, unready


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalReadiness:
    """Whether this server may take removals now; `readers` tells who said that it knows them."""

    targets: Sequence[Target]
    readers: Callable[[], Collection[str]]
    can_hash: bool

    @property
    def is_ready(self) -> bool:
        """Whether removals are taken now."""
        return self.can_hash and unready(self.targets, self.readers()) is None

    def check(self) -> None:
        """Raises Refused where somebody does not know removals, or those removed could not be remembered."""
        if not self.can_hash:
            raise no_room(
                f"mode: {HASH_KEYS} is not set here, by whose keys accounts remember who was removed; "
                "set the same for every process"
            )
        if why := unready(self.targets, self.readers()):
            raise no_room(f"mode: {why}")
