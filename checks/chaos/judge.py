"""The judgement of a run: reads what Kafka and the platforms hold and compares it with what was uploaded."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from checks.chaos import small_verdict
from checks.chaos.churn import Change, held_otherwise, members_at_end, misplaced
from checks.chaos.plan import PROVIDERS
from checks.chaos.report import Report
from checks.chaos.sandbox_client import SandboxClient
from checks.chaos.small import SMALL, Small
from checks.chaos.small_verdict import faults_of_small, unlike_the_log, wanted_members
from checks.chaos.strays import STRAY
from checks.chaos.uploads import AUDIENCE, Clients
from checks.chaos.verdict import (
    Holding,
    Place,
    Upload,
    compare,
    faults_of,
    faults_of_strays,
    fold,
    longest_stall,
)
from cli.settings.config import SANDBOXED
from schemas.avro.codec import decode_audience_batch, decode_batch_completion, decode_batch_receipt
from schemas.records import TERMINAL, AudienceBatch, BatchCompletion, BatchReceipt, Origin
from schemas.target import Target
from streams.client.settings import KafkaSettings
from streams.cluster.groups import backlog
from streams.cluster.topics import TopicNames
from streams.read.consumer_thread import Record
from streams.read.tail import read_to_end
from streams.read.topic_offsets import end_offsets

READ_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Books:
    """What Kafka knows of a run."""

    kafka: KafkaSettings
    names: TopicNames

    async def completions(self) -> list[tuple[BatchCompletion, float]]:
        """Return all completions and when Kafka took them."""
        records = await read_to_end(self.kafka, self.names.completions, READ_LIMIT)
        return [(decode_batch_completion(r.value), r.timestamp.timestamp()) for r in records if r.timestamp]

    async def log(self) -> list[Record]:
        """Return the records of the log."""
        return await read_to_end(self.kafka, self.names.batches, READ_LIMIT)

    async def receipts(self) -> list[BatchReceipt]:
        """Return all receipts."""
        records = await read_to_end(self.kafka, self.names.receipts, READ_LIMIT)
        return [decode_batch_receipt(record.value) for record in records]

    async def unsettled(self) -> AsyncIterator[str]:
        """Yield what is not at rest: groups that are behind, and, once none is, records that have not ended."""
        is_behind = False
        for target in SANDBOXED:
            group = target.group_id(self.names.prefix)
            retry = self.names.retry(group)
            for group_id, topic in ((group, self.names.batches), (retry, retry)):
                if behind := await backlog(self.kafka, group_id, topic):
                    is_behind = True
                    yield f"{group_id} is {behind} records behind"
        if behind := await backlog(self.kafka, self.names.ledger_group, self.names.batches):
            is_behind = True
            yield f"the ledger is {behind} records behind"
        if is_behind:
            return  # to read all completions takes a processor for seconds, which those that are behind need
        wanted = sum(await end_offsets(self.kafka, self.names.batches)) * len(SANDBOXED)
        ended = len(fold(completion for completion, _ in await self.completions()))
        if ended < wanted:
            yield f"{wanted - ended} of {wanted} completions are missing"


async def judge(books: Books, sandbox: SandboxClient, clients: Clients, report: Report) -> None:
    """Compare what was uploaded with what is reported and held; the report takes it down."""
    report.answers, report.uploads, report.users = clients.answers, len(clients.uploads), clients.users
    report.differences += clients.wrong
    completions, log, receipts = await books.completions(), await books.log(), await books.receipts()
    folded = fold(completion for completion, _ in completions)
    origins = sorted(record.origin for record in log if record.key != STRAY)
    strays = sorted(record.origin for record in log if record.key == STRAY)
    report.records, report.strays = len(origins), len(strays)
    report.stall = longest_stall(_begun(log), _first_ends(completions))
    small = _small_in(log, clients.small)
    report.differences += faults_of(folded, [origin for origin in origins if origin not in small], SANDBOXED)
    report.differences += await _small_faults(small, clients.small, folded, completions, sandbox)
    report.take_small(small, (completion for completion, _ in completions))
    report.differences += faults_of_strays(folded, receipts, strays, SANDBOXED)
    changes = clients.churn.changes
    changed = _changes_in(log, changes)
    report.changes = Counter(change.mode for change in changes)
    report.differences += misplaced(changes, changed)
    for provider in PROVIDERS:
        expected = members_at_end(changes, changed, folded, Target(provider))
        found_of = {audience: await sandbox.members(provider, _platform_name(audience)) for audience in expected}
        report.differences += held_otherwise(expected, found_of, provider)
        found = await sandbox.audiences(provider)
        report.audiences[provider], report.extra_audiences[provider] = found.total(), found.total() - len(found)
        report.differences += _strangers(
            provider, found, [*clients.uploads, *changes, *clients.small.uploads], are_strays_about=bool(strays)
        )
        for audience in sorted({upload.audience for upload in clients.uploads}):
            mine = [upload for upload in clients.uploads if upload.audience == audience]
            held = await sandbox.members(provider, _platform_name(audience))
            report.differences += _held_differently(provider, mine, compare(held, mine, provider), folded)
    report.differences += _receipts_differ(receipts, origins, strays)
    counters = await sandbox.counters()
    report.sent = {name: (its["rows"], its["repeatedRows"]) for name, its in counters.items()}


def _changes_in(log: Sequence[Record], changes: Sequence[Change]) -> list[tuple[Origin, AudienceBatch]]:
    """Return the records of the log that are of changes."""
    keys = {f"custom:{change.audience}".encode() for change in changes}
    return [(record.origin, decode_audience_batch(record.value)) for record in log if record.key in keys]


def _small_in(log: Sequence[Record], small: Small) -> dict[Origin, Upload]:
    """Return the uploads of few people that stand in the log, by where."""
    by_session = {str(upload.start): upload for upload in small.uploads}
    found = (record for record in log if record.key is not None and record.key.startswith(f"custom:{SMALL} ".encode()))
    batches = ((record.origin, decode_audience_batch(record.value)) for record in found)
    return {origin: by_session[batch.session_id or ""] for origin, batch in batches}


async def _small_faults(
    standing: Mapping[Origin, Upload],
    small: Small,
    folded: Mapping[Place, BatchCompletion],
    completions: Sequence[tuple[BatchCompletion, float]],
    sandbox: SandboxClient,
) -> list[str]:
    """Say what is wrong with the ends of small records, and with whom the platforms hold of them."""
    missing = [(origin, target) for origin in standing for target in SANDBOXED if (origin, target) not in folded]
    faults = [f"{target}: {origin}: no terminal completion" for origin, target in missing]
    faults += faults_of_small((completion for completion, _ in completions), standing)
    faults += unlike_the_log(small.uploads, standing.values())
    for provider in PROVIDERS:
        for audience in sorted({upload.audience for upload in standing.values()}):
            mine = [upload for upload in standing.values() if upload.audience == audience]
            held = await sandbox.members(provider, _platform_name(audience))
            faults += small_verdict.held_otherwise(audience, provider, wanted_members(mine, provider), held)
    return faults


def _begun(log: Sequence[Record]) -> dict[Place, float]:
    """Return when each record of the log was there for each account."""
    return {(r.origin, target): r.timestamp.timestamp() for r in log if r.timestamp for target in SANDBOXED}


def _receipts_differ(
    receipts: Sequence[BatchReceipt], origins: Sequence[Origin], strays: Collection[Origin]
) -> list[str]:
    valid = {receipt.origin for receipt in receipts if receipt.verdict == "valid"}
    wrong = sorted(set(origins).symmetric_difference(valid.difference(strays)))
    found = {receipt.origin: f"{receipt.verdict} ({receipt.reason})" for receipt in receipts}
    examples = ", ".join(f"{origin}: {found.get(origin, 'none')}" for origin in wrong[:3])
    return (
        [f"the ledger: {len(wrong)} of {len(origins)} records have no valid receipt, such as {examples}"]
        if wrong
        else []
    )


def _platform_name(audience: str) -> str:
    return f"blotout_{audience.replace(' ', '_')}"


def _strangers(
    provider: str, found: Mapping[str, int], uploads: Sequence[Upload], *, are_strays_about: bool
) -> Iterator[str]:
    """Yield audiences that no upload named; valid strays name others than uploads do."""
    wanted = {_platform_name(upload.audience) for upload in uploads}
    for name in sorted(found.keys() - wanted):
        if not are_strays_about or name.startswith(_platform_name(AUDIENCE)):
            yield f"{provider}: there is an audience that nobody uploaded: {name!r}"


def _held_differently(
    provider: str, uploads: Sequence[Upload], holding: Holding, folded: Mapping[Place, BatchCompletion]
) -> Iterator[str]:
    if holding.others:
        yield f"{provider}: {uploads[0].audience} holds {holding.others} that nobody uploaded"
    for what, by_upload in (("lacks", holding.lacking), ("holds though refused", holding.refused)):
        for number, count in by_upload.items():
            yield f"{provider}: {uploads[number].audience} {what} {count} of {_described(uploads[number], folded)}"


def _described(upload: Upload, folded: Mapping[Place, BatchCompletion]) -> str:
    """Return what is known of an upload: its size, its batches and how their records ended."""
    ended = [
        f"{target} {origin} {completion.status} accepted {completion.counts.accepted}"
        for (origin, target), completion in sorted(folded.items(), key=lambda item: str(item[0]))
        if completion.batch_id in upload.batch_ids
    ]
    ends = "; ".join(ended) or "no completion"
    return f"{upload.count} users from {upload.start} on, batches {upload.batch_ids}: {ends}"


def _first_ends(completions: Sequence[tuple[BatchCompletion, float]]) -> dict[Place, float]:
    """Return when each record first ended at each account."""
    ends: dict[Place, float] = {}
    for completion, at in completions:
        if completion.status in TERMINAL:
            place = completion.origin, Target(completion.provider, completion.account or "")
            ends[place] = min(at, ends.get(place, at))
    return ends
