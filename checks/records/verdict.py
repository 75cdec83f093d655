"""Whether each record has one receipt and one end at each account, also in a replay, and whether these agree."""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from schemas.records import LIVE, TERMINAL, BatchCompletion, BatchReceipt, Origin

_ENDS = {"undecodable": "failed: undecodable", "invalid": "skipped: invalid_batch"}
"""How a record must end that is not valid, by the ledger's verdict."""

_NOT_OF_VALID = ("undecodable", "invalid_batch", "bug", "quarantined")
"""Errors by which no valid record ends."""

Place = tuple[Origin, str]
"""A record at a provider."""


@dataclass(slots=True)
class Reported:
    """What was reported of each record."""

    receipts: dict[Origin, list[BatchReceipt]] = field(default_factory=dict)
    ends: dict[Origin, list[BatchCompletion]] = field(default_factory=dict)
    """How each ended that is not settled yet, live."""
    wanted: set[Place] = field(default_factory=set)
    """What a replay of everything sends again: valid records, at those whom they were meant for."""
    replayed: dict[Place, list[str]] = field(default_factory=dict)
    """How each ended in a replay."""

    def take_receipt(self, receipt: BatchReceipt) -> None:
        """Note a receipt."""
        self.receipts.setdefault(receipt.origin, []).append(receipt)

    def take_completion(self, completion: BatchCompletion) -> None:
        """Note how a record ended at an account."""
        if completion.status not in TERMINAL:
            return
        if completion.delivery == LIVE:
            self.ends.setdefault(completion.origin, []).append(completion)
        else:
            place = completion.origin, completion.provider
            self.replayed.setdefault(place, []).append(f"{completion.status}: {completion.error_code}")

    def settle(self) -> None:
        """Keep of the records that have ended no more than what a replay of everything sends again."""
        for origin, ends in self.ends.items():
            if {one.verdict for one in self.receipts.get(origin, ())} == {"valid"}:
                self.wanted.update((origin, end.provider) for end in ends if end.status != "skipped")
        self.receipts.clear()
        self.ends.clear()

    @property
    def is_replayed(self) -> bool:
        """Whether all that a replay sends again has ended in it."""
        return self.wanted <= self.replayed.keys()

    def is_ended(self, origin: Origin, providers: Collection[str]) -> bool:
        """Tell whether all have reported of a record."""
        return origin in self.receipts and {end.provider for end in self.ends.get(origin, ())} >= set(providers)

    def is_delivered(self, origin: Origin) -> bool:
        """Tell whether a record was valid and reached everybody."""
        receipts, ends = self.receipts.get(origin, []), self.ends.get(origin, [])
        return {one.verdict for one in receipts} == {"valid"} and {end.status for end in ends} == {"delivered"}

    def verdicts(self) -> Counter[str]:
        """Return how many records were judged how, with what is wrong with them."""
        every = [one for receipts in self.receipts.values() for one in receipts]
        return Counter(f"{one.verdict}: {one.reason}" if one.reason else one.verdict for one in every)


def faults_of(reported: Reported, origin: Origin, providers: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with what was reported of one record."""
    receipts, ends = reported.receipts.get(origin, []), reported.ends.get(origin, [])
    if len(receipts) != 1:
        yield f"{len(receipts)} receipts"
    for provider in providers:
        own = [end for end in ends if end.provider == provider]
        if len(own) != 1:
            yield f"{len(own)} ends at {provider}"
        for end in own:
            yield from disagreements({(receipt.verdict, receipt.reason) for receipt in receipts}, end)


def disagreements(verdicts: Collection[tuple[str, str | None]], end: BatchCompletion) -> Iterator[str]:
    """Yield how a record's end at an account differs from the ledger's verdict and its reason."""
    ended = f"{end.status}: {end.error_code}"
    for verdict, reason in verdicts:
        if verdict != "valid" and not reason:
            yield "a receipt without a reason"
        expected = _ENDS.get(verdict)
        if expected is not None and ended != expected:
            yield f"{verdict} by its receipt, {ended} at {end.provider}"
        if expected is None and end.error_code in _NOT_OF_VALID:
            yield f"valid by its receipt, {ended} at {end.provider}"


def faults_of_replay(reported: Reported) -> Iterator[str]:
    """Yield what is wrong with each end of a replay of everything."""
    for place in sorted(reported.wanted | reported.replayed.keys()):
        ends, provider = reported.replayed.get(place, []), place[1]
        if place not in reported.wanted:
            yield f"replayed at {provider}, which it was not to be"
        elif len(ends) != 1:
            yield f"{len(ends)} ends of the replay at {provider}"
        for end in ends:
            if end.partition(": ")[2] in _NOT_OF_VALID:
                yield f"replayed at {provider}, {end}"
