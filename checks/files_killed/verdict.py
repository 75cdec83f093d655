"""What must hold of an upload that was ended and resumed, by the log, the status and what the platforms hold."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from audience_client.http.statuses import SessionStatus
from checks.files_killed.tries import Observed
from cli.demo.made_up_people import Member
from schemas.records import AudienceBatch


def faults_of_tries(observed: Observed, moments: int) -> Iterator[str]:
    """Yield what the tries did that they must not."""
    yield from observed.faults
    if observed.used < moments:
        yield f"only {observed.used} of {moments} moments came before the upload was through; choose more rows"
    if not observed.is_success:
        yield "the outcome is no success"
    acknowledged = Counter[int]()
    for number, (sends, more) in enumerate(zip(observed.sends, observed.acknowledged, strict=True), 1):
        again = sends.keys() & acknowledged.keys()
        if again:
            yield f"try {number} sent {len(again)} batches again that had been acknowledged, such as {min(again)}"
        acknowledged += more


def faults_of_log(log: Sequence[AudienceBatch], session_id: int, batches: int, users: int) -> Iterator[str]:
    """Yield what stands in the log twice, or not at all."""
    ours = [record for record in log if record.session_id == str(session_id)]
    ids = {(record.sequence, record.batch_id) for record in ours}
    times = Counter(sequence for sequence, _ in ids)
    twice = sorted(str(sequence) for sequence, count in times.items() if count > 1)
    if twice:
        yield f"{len(twice)} batches stand in the log more than once, such as {twice[0]}"
    if set(times) != set(range(1, batches + 1)):
        yield f"{len(times)} of {batches} batches stand in the log"
    found = sum(len(record.users) for record in ours)
    if found != users:
        yield f"{found} users stand in the log, and the file has {users}"
    others = {record.session_id for record in log} - {str(session_id)}
    if others:
        yield f"{len(others)} other sessions stand in the log"


def faults_of_status(status: SessionStatus, batches: int, users: int) -> Iterator[str]:
    """Yield what the session says that is not so."""
    run = status.runs[0]
    if len(status.runs) != 1:
        yield f"the session has {len(status.runs)} runs"
    if run.missing or not run.are_totals_right:
        yield f"the session says that {len(run.missing)} batches are missing, totals right: {run.are_totals_right}"
    if len(run.batches) != batches or run.users != users:
        yield f"the session has {len(run.batches)} batches of {batches}, {run.users} users of {users}"


def faults_of_members(provider: str, held: Collection[Member], usable: Collection[Member]) -> Iterator[str]:
    """Yield how a platform's members differ from the rows that it can use."""
    lacks, others = len(set(usable) - set(held)), len(set(held) - set(usable))
    if lacks or others:
        yield f"{provider} lacks {lacks} of {len(usable)} members, and holds {others} others"
