"""What a replay would send, by the receipts and completions that stand on the topics."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cli.printing.tables import print_lines
from cli.replay.saved_replays import Replay, ReplayError
from cli.replay.selection import Chosen, Ends, Part, chosen_of, part_for, seconds_for
from cli.undecodable import Undecodable
from consumer.account.account import Account
from consumer.account.runtime import Deployment
from providers.installed import rates_of
from providers.kit.http import Answer, Request
from schemas.avro.codec import decode_batch_completion, decode_batch_receipt
from schemas.records import AudienceBatch, BatchReceipt, Origin, is_of_log
from schemas.target import Target
from streams.cluster.groups import committed_offsets, groups_with_members
from streams.read.consumer_thread import Record
from streams.read.tail import scan
from streams.read.topic_offsets import first_offsets

LEDGER_LIMIT = 60.0
"""Seconds for which receipts are waited for while the ledger does not get on."""

NOBODY_LIMIT = 10.0
"""Seconds for which the ledger may be without a process, as while it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes to each account, and what could not be read of the topics that say so."""

    parts: Sequence[Part]
    undecodable: Sequence[Undecodable]

    def check(self) -> None:
        """Raises NotAllReadError where not all was read that could be."""
        for one in self.undecodable:
            one.check()


async def planned(found: Replay, targets: Sequence[Target], deployment: Deployment) -> Plan:
    """Return what goes to each account, by the receipts of what stood in the log at the replay's start.

    Raises NotAllReadError where a registry is needed and none is set.
    """
    receipts, completions = Undecodable("receipts", deployment.framing), Undecodable("completions", deployment.framing)
    await _await_receipts(found.ends, deployment)
    records: dict[Origin, Chosen] = {}
    removed: dict[tuple[str, bool], AudienceBatch] = {}

    def choose(record: Record) -> None:
        receipt = decode_batch_receipt(record.value, deployment.framing)
        if not is_of_log(receipt.log_id, deployment.log_id):
            return
        if receipt.mode == "remove" and receipt.verdict == "valid":
            removal = _removal_of(receipt)
            removed[removal.key, removal.disable_prefix] = removal
        origin = receipt.origin
        is_before = origin.topic == deployment.names.batches and origin.offset < _at(found.ends, origin.partition)
        if is_before and found.choice.has(receipt):
            records[origin] = chosen_of(receipt)

    await _scan(deployment, deployment.names.receipts, receipts, choose)
    ends = Ends(origins=records.keys(), without=found.id, log_id=deployment.log_id)
    if found.choice.is_by_end:
        await _scan(
            deployment,
            deployment.names.completions,
            completions,
            lambda record: ends.take(decode_batch_completion(record.value, deployment.framing), record.timestamp),
        )
    firsts = await first_offsets(deployment.kafka, deployment.names.batches)
    parts = [part_for(target, records.values(), ends, found.choice, firsts) for target in targets]
    parts = [replace(part, removed=tuple(removed.values())) for part in parts]
    return Plan(parts=parts, undecodable=[receipts, completions])


def _removal_of(receipt: BatchReceipt) -> AudienceBatch:
    """Return the removal that a receipt is of, without its users."""
    return AudienceBatch(
        batch_id=receipt.batch_id or "",
        name=receipt.name or "",
        type=receipt.type or "custom",
        disable_prefix=bool(receipt.disable_prefix),
        users=[],
        mode="remove",
    )


def _at(ends: Sequence[int], partition: int) -> int:
    return ends[partition] if partition < len(ends) else 0


async def _scan(deployment: Deployment, topic: str, undecodable: Undecodable, take: Callable[[Record], None]) -> None:
    """Hand over what a topic holds; what nobody can decode is left out, and said."""
    await scan(deployment.kafka, topic, undecodable.counted(take))
    if undecodable.is_setting_missing:
        undecodable.check()
    print_lines(undecodable.lines(), sys.stderr)


async def _await_receipts(ends: Sequence[int], deployment: Deployment) -> None:
    """Return when the ledger has passed these ends of the log. Raises ReplayError where it does not get there."""
    names, since, before = deployment.names, time.monotonic(), -1
    firsts = await first_offsets(deployment.kafka, names.batches)
    while True:
        passed = await committed_offsets(
            deployment.kafka, names.ledger_group, names.batches, len(ends), deployment.log_id
        )
        left = sum(max(0, end - max(at, first)) for end, at, first in zip(ends, passed, firsts, strict=False))
        if not left:
            return
        if left != before:
            since, before = time.monotonic(), left
        is_served = await groups_with_members(deployment.kafka, [names.ledger_group])
        if time.monotonic() - since > (LEDGER_LIMIT if is_served else NOBODY_LIMIT):
            raise ReplayError(_no_receipts(left, is_served=bool(is_served)))
        await asyncio.sleep(0.2)


def _no_receipts(left: int, *, is_served: bool) -> str:
    if is_served:
        return f"the ledger does not get on: {left} records of the log have no receipt yet; its log says why"
    return (
        f"no ledger is running: {left} records of the log have no receipt, by which a replay finds them; "
        "start `audience up` or `audience consume --ledger`"
    )


def estimate(account: Account, part: Part, rate: float) -> float:
    """Estimate how long an account's part takes, by the documented rates and our share of them."""
    rows = account.kind(account.settings, _Nobody()).limits.rows
    calls = sum(-(-users // rows) for users in part.users)
    longest = max(Counter(wish.audience for wish in part.wishes.values()).values(), default=0)
    shares = [each.part(rate) for each in rates_of(account.kind, account.settings).get("upload", ())]
    per_second = min((allowed / seconds for allowed, seconds in shares), default=None)
    return seconds_for(calls, longest, per_second, max(1, int(account.settings.slots * rate)))


class _Nobody:
    """A transport that nothing is sent by."""

    async def send(self, request: Request) -> Answer:
        raise NotImplementedError
