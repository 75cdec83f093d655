"""Whether all is where it should be: pure comparisons of what was uploaded, reported and held."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from checks.records.verdict import disagreements
from cli.demo.made_up_people import Member, Person, make_people
from schemas.records import TERMINAL, BatchCompletion, BatchReceipt, Origin
from schemas.target import Target

MUST, MAY, MUST_NOT = "must", "may", "must not"
"""What an answer says of an upload's users: they get in; nobody knows; they don't, as nothing was accepted."""

SUCCESSES = frozenset({"delivered", "partial"})
OWN_REASONS = frozenset({"no_identifier", "not_an_email", "hashed"})
"""Why some of the made-up people are of no use to a platform; for anything else nobody may be rejected."""


@dataclass(slots=True, kw_only=True)
class Upload:
    """The people of an upload, by their numbers, and what its answers came to."""

    audience: str
    start: int
    count: int
    fate: str = MUST_NOT
    batch_ids: list[str] = field(default_factory=list)

    def note(self, fate: str) -> None:
        """Note one more answer: certainty is final, and a doubt stays one."""
        if MUST in (fate, self.fate):
            self.fate = MUST
        elif fate == MAY:
            self.fate = MAY

    def people(self) -> Iterator[Person]:
        """Yield those whom it names."""
        return make_people(self.count, self.start)

    def users(self) -> Iterator[Mapping[str, object]]:
        """Yield them as they are uploaded."""
        return (person.user for person in self.people())

    def members(self, provider: str) -> Iterator[Member]:
        """Yield what a platform must hold of these people."""
        return (person.members[provider] for person in self.people() if provider in person.members)

    @property
    def query(self) -> Mapping[str, str]:
        """What it adds to the URL."""
        return {}


@dataclass(frozen=True, slots=True)
class Holding:
    """How what a platform holds of one audience differs from what was uploaded; `lacking` and `refused` by upload."""

    lacking: Mapping[int, int]
    refused: Mapping[int, int]
    others: int


def compare(held: Collection[Member], uploads: Sequence[Upload], provider: str) -> Holding:
    """Return who lacks of the uploads that were accepted, who is held of those that were not, and who else is held."""
    left = set(held)
    lacking: Counter[int] = Counter()
    refused: Counter[int] = Counter()
    for number, upload in enumerate(uploads):
        for member in upload.members(provider):
            is_held = member in left
            left.discard(member)
            lacking[number] += upload.fate == MUST and not is_held
            refused[number] += upload.fate == MUST_NOT and is_held
    return Holding(lacking=+lacking, refused=+refused, others=len(left))


Place = tuple[Origin, Target]


def fold(completions: Iterable[BatchCompletion]) -> dict[Place, BatchCompletion]:
    """Return the last word on each record and account: a success is final, a failure gives way to what ends later."""
    latest: dict[Place, BatchCompletion] = {}
    for completion in completions:
        place = completion.origin, Target(completion.provider, completion.account or "")
        if completion.status in TERMINAL and not (place in latest and latest[place].status in SUCCESSES):
            latest[place] = completion
    return latest


def faults_of(
    folded: Mapping[Place, BatchCompletion], origins: Iterable[Origin], targets: Sequence[Target]
) -> list[str]:
    """Say which records came to no success at which account, or rejected users who are sound, by origin."""
    told = []
    for origin in origins:
        for target in targets:
            found = folded.get((origin, target))
            fault = "no terminal completion" if found is None else _fault(found)
            told += [f"{target}: {origin}: {fault}"] if fault else []
    return told


def _fault(found: BatchCompletion) -> str:
    if found.status not in SUCCESSES:
        code = f" ({found.platform_code})" if found.platform_code else ""
        return f"{found.status}: {found.error_code}{code} after {found.attempts} attempts, batch {found.batch_id}"
    unknown = {
        reason: n for reason, n in found.rejected_reasons.items() if reason.rpartition(": ")[2] not in OWN_REASONS
    }
    if unknown:
        return f"sound users rejected: {unknown}, batch {found.batch_id}"
    sums = found.counts.accepted + found.counts.rejected + found.counts.superseded
    return "" if sums == found.counts.received else f"{sums} of {found.counts.received} users accounted for"


def faults_of_strays(
    folded: Mapping[Place, BatchCompletion],
    receipts: Iterable[BatchReceipt],
    origins: Iterable[Origin],
    targets: Sequence[Target],
) -> Iterator[str]:
    """Yield which records that nobody should write have not one verdict, and an end that agrees with it everywhere.

    Receipts and ends may come twice after a process was killed, but not two different ones.
    """
    told: dict[Origin, set[tuple[str, str | None]]] = {}
    for receipt in receipts:
        told.setdefault(receipt.origin, set()).add((receipt.verdict, receipt.reason))
    for origin in origins:
        verdicts = told.get(origin, set())
        if len(verdicts) != 1:
            yield f"a stray, {origin}: {len(verdicts)} verdicts"
        for target in targets:
            end = folded.get((origin, target))
            if end is None:
                yield f"{target}: a stray, {origin}: no terminal completion"
            for fault in disagreements(verdicts, end) if end else ():
                yield f"{target}: a stray, {origin}: {fault}"


def longest_stall(begun: Mapping[Place, float], ended: Mapping[Place, float]) -> float:
    """Return the longest time without any end while something begun had yet to end.

    Both are times by record and account; what never ended is left out.
    """
    ends = sorted((ended[place], begun[place]) for place in begun if place in ended)
    waiting, longest = float("inf"), 0.0
    for number in range(len(ends) - 1, -1, -1):
        end, waiting = ends[number][0], min(waiting, ends[number][1])
        before = ends[number - 1][0] if number else waiting
        longest = max(longest, end - max(before, waiting))
    return longest
