"""Whether each small record ended as it would have alone, and whether those are held whom the platforms take."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set

from checks.chaos.small import TASTES, is_wanted
from checks.chaos.verdict import MUST, MUST_NOT, OWN_REASONS, SUCCESSES, Upload
from cli.demo.made_up_people import Member
from schemas.records import TERMINAL, BatchCompletion, Origin

REFUSED = "request_refused"
"""The error of a record of which a platform refuses every row."""

COUNTED = frozenset(taste.provider for taste in TASTES.values() if taste.fault == "leaves_out" and not taste.names)
"""Platforms that tell of some rows only that they were not taken."""


def faults_of_small(completions: Iterable[BatchCompletion], records: Mapping[Origin, Upload]) -> Iterator[str]:
    """Yield which ends of these records are not as they should be: each of them counts, not only the last."""
    for end in completions:
        upload = records.get(end.origin)
        if upload is not None and end.status in TERMINAL and (fault := fault_of(end, upload)):
            yield f"{end.provider}: {end.origin}: {fault}, {upload.count} from {upload.start} on"


def fault_of(end: BatchCompletion, upload: Upload) -> str:
    """Say what is wrong with a record's end, as if nothing else had ever been in a call of its."""
    usable = {place for place, person in enumerate(upload.people()) if end.provider in person.members}
    unwanted = {place for place in usable if not is_wanted(upload.start + place, end.provider)}
    if end.status == "failed" and end.error_code == REFUSED:
        return "" if unwanted == usable else "refused, though somebody of it is wanted"
    if end.status not in SUCCESSES:
        return f"{end.status}: {end.error_code} after {end.attempts} attempts"
    return next(_faults(end, upload.count - len(usable), usable, unwanted), "")


def _faults(end: BatchCompletion, unusable: int, usable: Collection[int], unwanted: Set[int]) -> Iterator[str]:
    """Yield what is wrong with a success by its numbers, and by the places of whom it says that they were rejected."""
    reasons, counts = end.rejected_reasons, end.counts
    own = sum(number for reason, number in reasons.items() if _word(reason) in OWN_REASONS)
    refused = counts.rejected - own
    placed = {user.index for user in end.rejected_users if _word(user.reason) not in OWN_REASONS}
    if own != unusable or counts.accepted != len(usable) - refused:
        yield f"{counts} with {reasons}"
    if not placed <= unwanted or refused > len(unwanted):
        yield f"somebody who is wanted was rejected: {reasons}"
    if end.shared_unplaced and end.provider not in COUNTED:
        yield "the platform is said to count rows without naming them"
    if refused < len(unwanted) and not end.shared_unplaced:
        yield "somebody who is not wanted is said to be taken"


def _word(reason: str) -> str:
    return reason.rpartition(": ")[2]


def unlike_the_log(uploads: Collection[Upload], standing: Collection[Upload]) -> Iterator[str]:
    """Yield uploads that were accepted and do not stand in the log, or were refused and do."""
    there = {upload.start for upload in standing}
    for upload in uploads:
        if (upload.fate == MUST and upload.start not in there) or (upload.fate == MUST_NOT and upload.start in there):
            yield f"{upload.audience}: {upload.count} from {upload.start} on {upload.fate} stand in the log"


def wanted_members(standing: Iterable[Upload], provider: str) -> set[Member]:
    """Return whom a platform must hold of the uploads that stand in the log."""
    return {
        person.members[provider]
        for upload in standing
        for place, person in enumerate(upload.people())
        if provider in person.members and is_wanted(upload.start + place, provider)
    }


def held_otherwise(audience: str, provider: str, wanted: set[Member], held: set[Member]) -> Iterator[str]:
    """Yield how many a platform lacks of these people, or holds too much."""
    for what, who in (("lacks", wanted - held), ("holds too much:", held - wanted)):
        if who:
            told = ", ".join(member[0] for member in sorted(who)[:3])
            yield f"{provider}: {audience} {what} {len(who)}, such as {told}"
