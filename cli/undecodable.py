"""What of a topic nobody can decode here: it is counted, told, and never taken for nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cli.errors import CommandError
from cli.settings.environment import REGISTRY
from schemas.avro.framing import Framing, UndecodableError, is_framed
from streams.read.consumer_thread import Record

LEAST = 32
"""Bytes that a framed completion or receipt has at least; others write numbers, which begin with a zero as well."""


class NotAllReadError(CommandError):
    """Something could not be decoded that a setting would let us read, or nothing at all could be."""


@dataclass(slots=True)
class Undecodable:
    """Counts records of one kind, such as receipts; `framed` are those undecodable that name a registry's schema."""

    kind: str
    framing: Framing
    read: int = 0
    left_out: int = 0
    framed: int = 0

    def counted(self, take: Callable[[Record], object]) -> Callable[[Record], None]:
        """Return what hands records on, and leaves out those at which that raises UndecodableError."""

        def handed(record: Record) -> None:
            try:
                take(record)
                self.read += 1
            except UndecodableError:
                self.left_out += 1
                self.framed += is_framed(record.value) and len(record.value) >= LEAST

        return handed

    @property
    def is_setting_missing(self) -> bool:
        """Whether a registry is needed and none is set, so that nothing is known of anything."""
        return self.framed > 0 and not self.read and self.framing.registry is None

    def lines(self) -> Iterator[str]:
        """Say how many are left out, where any are."""
        if self.left_out:
            yield f"{self.kind.capitalize()} that could not be decoded and are left out: {self.left_out}."

    def check(self) -> None:
        """Raises NotAllReadError where what was read is not the whole answer."""
        if fault := self.fault():
            raise NotAllReadError(fault)

    def fault(self) -> str | None:
        """Return why what was read is not the whole answer, and which setting helps; None where it is."""
        if self.framed and self.framing.registry is None:
            return (
                f"{self.framed} {self.kind} are written by a schema registry and can't be read without it: "
                f"set {REGISTRY} to what it was there"
            )
        if self.framed:
            return (
                f"{self.framed} {self.kind} name schemas that the registry does not have, or has otherwise: "
                f"set {REGISTRY} to the one that they were written with"
            )
        if self.left_out and not self.read:
            return (
                f"none of the {self.left_out} {self.kind} can be decoded; where a schema registry was used, "
                f"set {REGISTRY} to it"
            )
        return None
