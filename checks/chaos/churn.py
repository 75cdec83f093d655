"""People who come to and leave a few audiences again and again, and who is left at the end by the log."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from checks.chaos.verdict import MUST, MUST_NOT, SUCCESSES, Place, Upload
from cli.demo.made_up_people import MOST_PEOPLE, Member, Person, make_people
from schemas.records import AudienceBatch, BatchCompletion, Mode, Origin
from schemas.target import Target

CHURN = "Churn"
"""What the names of these audiences begin with."""

AUDIENCES = 3
POOL = 300
"""People of these audiences, who are nobody else's."""

MOST = 60
"""People of one upload."""

FIRST_SESSION = 10**9
"""The sessions of other uploads are below this."""

SHORT = 0.3
"""Share of removals that name people by their e-mail address alone, where they have one."""


@dataclass(slots=True, kw_only=True)
class Change(Upload):
    """An upload that adds people of the pool to an audience, or takes them out."""

    mode: Mode
    numbers: Sequence[int]
    is_short: bool

    def people(self) -> Iterator[Person]:
        """Yield those whom it names."""
        return map(person, self.numbers)

    def users(self) -> Iterator[Mapping[str, object]]:
        """Yield them as they are uploaded."""
        for one in self.people():
            mail = one.user.get("email")
            yield {"email": mail} if self.is_short and isinstance(mail, str) else one.user

    @property
    def query(self) -> Mapping[str, str]:
        """What it adds to the URL; some additions say what is so by default."""
        is_told = self.mode == "remove" or self.start % 2
        return {"mode": self.mode} if is_told else {}


def person(number: int) -> Person:
    """Return somebody of the pool."""
    [found] = make_people(1, MOST_PEOPLE - POOL + number)
    return found


@dataclass(slots=True)
class Churn:
    """Draws changes."""

    chance: random.Random
    changes: list[Change] = field(default_factory=list)

    def next(self) -> Change:
        """Return the next change."""
        numbers = self.chance.sample(range(POOL), self.chance.randint(1, self.chance.choice((1, 10, MOST))))
        mode: Mode = "remove" if self.chance.random() < 0.45 else "add"
        change = Change(
            audience=f"{CHURN} {self.chance.randrange(AUDIENCES)}",
            start=FIRST_SESSION + len(self.changes),
            count=len(numbers),
            mode=mode,
            numbers=numbers,
            is_short=mode == "remove" and self.chance.random() < SHORT,
        )
        self.changes.append(change)
        return change


def members_at_end(
    changes: Collection[Change],
    log: Sequence[tuple[Origin, AudienceBatch]],
    folded: Mapping[Place, BatchCompletion],
    target: Target,
) -> dict[str, set[Member]]:
    """Return what a platform must hold of each audience: the fold of what was delivered, in the order of the log."""
    by_session = {str(change.start): change for change in changes}
    inside: dict[str, set[int]] = {change.audience: set() for change in changes}
    for origin, batch in sorted(log, key=lambda one: one[0]):
        change = by_session.get(batch.session_id or "")
        end = folded.get((origin, target))
        if change is not None and end is not None and end.status in SUCCESSES:
            alter: Callable[[set[int]], object] = (
                inside[batch.name].update if batch.mode == "add" else inside[batch.name].difference_update
            )
            alter(set(change.numbers))
    return {
        audience: {member for number in numbers if (member := person(number).members.get(target.provider))}
        for audience, numbers in inside.items()
    }


def misplaced(changes: Collection[Change], log: Sequence[tuple[Origin, AudienceBatch]]) -> Iterator[str]:
    """Yield changes that were accepted and do not stand in the log, or refused and do, or not all of an audience's
    in one partition.
    """
    standing = {batch.session_id for _, batch in log}
    for change in changes:
        is_there = str(change.start) in standing
        if (change.fate == MUST and not is_there) or (change.fate == MUST_NOT and is_there):
            yield f"{change.audience}: session {change.start}, {change.mode}: {change.fate} stand in the log"
    for audience in sorted({batch.name for _, batch in log}):
        partitions = {origin.partition for origin, batch in log if batch.name == audience}
        if len(partitions) > 1:
            yield f"{audience} stands in {len(partitions)} partitions"


def held_otherwise(
    expected: Mapping[str, set[Member]], held: Mapping[str, set[Member]], provider: str
) -> Iterator[str]:
    """Yield what a platform lacks of these audiences, or holds too much, and whom, by their numbers in the pool."""
    for audience, wanted in sorted(expected.items()):
        found = held.get(audience, set())
        for what, who in (("lacks", wanted - found), ("holds too much:", found - wanted)):
            if who:
                told = sorted(_who(member, provider) for member in who)
                yield f"{provider}: {audience} {what} {len(who)}, such as {', '.join(told[:8])}"


def _who(member: Member, provider: str) -> str:
    """Return whom of the pool a member is, and by how much of them if not by all."""
    for number in range(POOL):
        whole = person(number).members.get(provider, ())
        if not set(whole[:3]).isdisjoint(member):
            return str(number) if member == whole else f"{number} by {len(set(whole) & set(member))} of {len(whole)}"
    return "somebody that nobody uploaded"
