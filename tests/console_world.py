"""A server with its console, and topics that tell made-up things: what pages show is written, not waited for."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from world import ALL, World, world

from cli.serve.uploaded_files import UploadedFiles
from cli.settings.environment import Environment
from console.console import console
from console.upload.files import Files
from schemas.avro.codec import (
    encode_account_loss,
    encode_account_state,
    encode_batch_completion,
    encode_batch_receipt,
)
from schemas.bounds import MAX_USERS
from schemas.records import AccountLoss, AccountState, BatchCompletion, BatchReceipt, Counts, Origin, RejectedUser
from schemas.target import parse_target
from streams.client.settings import KafkaSettings

MARKUP = "<script>alert(1)</script><b onload=x>&amp;\"'"
RIGHT_TO_LEFT = "عملاء مميزون \u202egnp.exe"
LONGEST = "W" * 255
HOSTILE = (MARKUP, RIGHT_TO_LEFT, LONGEST)
FILES = UploadedFiles(Environment({}, {}), MAX_USERS, tuple(map(parse_target, ALL)), held=8 << 20)


@asynccontextmanager
async def console_world(
    kafka: KafkaSettings,
    *,
    settings: Mapping[str, object] | None = None,
    consuming: Sequence[str] = (),
    files: Files | None = FILES,
) -> AsyncIterator[World]:
    """Run a server with its console on topics of its own, which are deleted in the end; nobody delivers unless named.

    Of the accounts it has no credentials, as an ingestion node has none.
    """
    prefix = f"test-{secrets.token_hex(6)}"
    try:
        async with world(
            kafka, prefix, consuming=consuming, settings=settings, add=partial(console, files=files)
        ) as found:
            await until_built(found)
            yield found
    finally:
        with contextlib.suppress(KafkaException):
            await asyncio.to_thread(_delete, kafka, prefix)


async def until_built(found: World) -> None:
    """Return when the server can be asked."""
    async with asyncio.timeout(30):
        while True:
            async with found.session.get(f"{found.url}/readyz") as response:
                if response.status == 200:
                    return
            await asyncio.sleep(0.05)


def _delete(kafka: KafkaSettings, prefix: str) -> None:
    admin = AdminClient(kafka.client())
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    for deleted in (admin.delete_topics(names, request_timeout=10) if names else {}).values():
        deleted.exception(20)


@dataclass(slots=True)
class Reports:
    """What the topics are to tell, built step by step; `log` is the topic that all of it is about."""

    log: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    receipts: list[BatchReceipt] = field(default_factory=list)
    completions: list[BatchCompletion] = field(default_factory=list)
    states: list[AccountState] = field(default_factory=list)
    losses: list[AccountLoss] = field(default_factory=list)

    def batch(self, name: str = "VIP", users: int = 500, ago: float = 60, **changes: Any) -> BatchReceipt:
        """Let a batch stand in the log, so many seconds ago."""
        number = len(self.receipts)
        given: dict[str, Any] = {
            "batch_id": str(UUID(int=number + 1)),
            "part": 1,
            "parts": 1,
            "session_id": "1",
            "sequence": 1,
            "total_batches": 1,
            "total_users": users,
            "name": name,
            "type": "custom",
            "disable_prefix": False,
            "users": users,
            "content_hash": number.to_bytes(32, "big"),
            "source": "http",
            "origin": Origin(topic=self.log, partition=0, offset=number),
            "timestamp": self.now - timedelta(seconds=ago),
            "verdict": "valid",
            **changes,
        }
        self.receipts.append(BatchReceipt(**given))
        return self.receipts[-1]

    def end(self, of: BatchReceipt, provider: str, status: str = "delivered", after: float = 5, **changes: Any) -> None:
        """Let an account say how a batch ended for it."""
        rejected = sum(changes.get("rejected_reasons", {}).values())
        accepted = of.users - rejected if status in ("delivered", "partial") else 0
        given: dict[str, Any] = {
            "batch_id": of.batch_id,
            "origin": of.origin,
            "provider": provider,
            "status": status,
            "counts": Counts(received=of.users, accepted=accepted, rejected=rejected),
            "attempts": 1,
            "audience_id": f"{provider}-{of.name}" if accepted else None,
            "started_at": of.timestamp,
            "finished_at": None if status == "retrying" else of.timestamp + timedelta(seconds=after),
            **changes,
        }
        self.completions.append(BatchCompletion(**given))

    def state(self, provider: str, state: str, **changes: Any) -> None:
        """Let an account say how it stands."""
        given: dict[str, Any] = {"provider": provider, "state": state, "changed_at": self.now, **changes}
        self.states.append(AccountState(**given))

    def loss(self, provider: str, records: int) -> None:
        """Let an account say what it has lost."""
        at = self.now - timedelta(hours=2)
        self.losses.append(
            AccountLoss(
                provider=provider,
                partition=1,
                first_offset=0,
                end_offset=records,
                records=records,
                reported_at=at,
            )
        )

    async def tell(self, found: World) -> None:
        """Write all of it, and return when the server knows it: each topic is read in order, but none after another."""
        await asyncio.to_thread(_write, found, list(self._records(found)))
        told = [one.batch_id for one in self.receipts[-1:]] + [one.batch_id for one in self.completions[-1:]]
        async with asyncio.timeout(90):
            for batch_id in {batch_id for batch_id in told if batch_id}:
                ended = [one for one in self.completions if one.batch_id == batch_id]
                while not await _knows(found, batch_id, ended):
                    await asyncio.sleep(0.1)

    def _records(self, found: World) -> Iterator[tuple[str, str, bytes]]:
        names = found.names
        yield from ((names.receipts, one.key, encode_batch_receipt(one)) for one in self.receipts)
        yield from ((names.completions, one.key, encode_batch_completion(one)) for one in self.completions)
        yield from ((names.accounts, f"state:{one.provider}", encode_account_state(one)) for one in self.states)
        yield from ((names.accounts, f"lost:{one.provider}:1@0", encode_account_loss(one)) for one in self.losses)


def _write(found: World, records: Sequence[tuple[str, str, bytes]]) -> None:
    producer = Producer(found.kafka.client(**{"queue.buffering.max.messages": 200_000}))
    for topic, key, value in records:
        producer.produce(topic, value, key, partition=0)
    assert producer.flush(30) == 0


async def _knows(found: World, batch_id: str, ended: Sequence[BatchCompletion]) -> bool:
    headers = {"Authorization": "Bearer made-up"}
    async with found.session.get(f"{found.url}/audience/batches/{batch_id}", headers=headers) as response:
        if response.status != 200:
            return False
        targets: list[dict[str, int]] = (await response.json())["targets"]
        return sum(target["attempts"] > 0 for target in targets) == len({one.provider for one in ended})


def whole(into: Reports) -> None:
    """Tell of everything that the pages can show: good and bad ends, odd batches, accounts that need somebody."""
    _finished(into)
    _odd(into)
    _hostile(into)
    _broken(into)
    _running(into)


def _finished(into: Reports) -> None:
    for number in range(1, 7):
        batch = into.batch("Newsletter autumn", 4000, 4000 - number, **_of(20, number, 6, 24_000))
        for provider in ALL:
            into.end(batch, provider)


def _odd(into: Reports) -> None:
    """A session of 40 batches: two missing, one late, one repeated, one contradictory, some refused in part."""
    for sequence in range(1, 41):
        if sequence in (12, 17, 31):
            continue
        first = into.batch("VIP customers", 500, 2400 - sequence, **_of("autumn-26", sequence, 40, 20_000))
        _vary(into, first, sequence)
        if sequence in (3, 8):
            content = {"content_hash": first.content_hash} if sequence == 3 else {}
            _vary(
                into,
                into.batch("VIP customers", 500, 2399 - sequence, **_of("autumn-26", sequence, 40, 20_000), **content),
                0,
            )
    _vary(into, into.batch("VIP customers", 500, 1300, **_of("autumn-26", 12, 40, 20_000)), 12)


def _vary(into: Reports, batch: BatchReceipt, sequence: int) -> None:
    """Let all accounts take a batch, but some users of each ninth, and TikTok nothing of the fifth."""
    reasons = {"email: not_an_email": 7, "phone: not_a_phone": 3} if sequence and sequence % 9 == 0 else {}
    users = [RejectedUser(index=index * 11, field="email", reason="not_an_email") for index in range(7)]
    listed: dict[str, Any] = {"rejected_reasons": reasons, "rejected_users": users} if reasons else {}
    into.end(batch, "facebook", "partial" if reasons else "delivered", **listed)
    into.end(batch, "tiktok", "failed" if sequence == 5 else "delivered", **_failure(sequence == 5))
    into.end(batch, "klaviyo", counts=Counts(received=500, accepted=500, matched=431))


def _failure(is_one: bool) -> dict[str, Any]:
    return {"error_code": "request_refused", "platform_code": "40002", "attempts": 3} if is_one else {}


def _of(session_id: object, sequence: int, total_batches: int, total_users: int) -> dict[str, object]:
    return {
        "session_id": str(session_id),
        "sequence": sequence,
        "total_batches": total_batches,
        "total_users": total_users,
    }


def _hostile(into: Reports) -> None:
    for number, name in enumerate(HOSTILE):
        batch = into.batch(name, 3, 900 - number, session_id=name if number else "hostile & <i>", total_users=3)
        into.end(batch, "facebook")
        into.end(batch, "tiktok", "failed", error_code="request_refused", platform_code="40002")


def _broken(into: Reports) -> None:
    into.receipts.append(
        BatchReceipt(
            origin=Origin(topic=into.log, partition=0, offset=len(into.receipts)),
            timestamp=into.now - timedelta(minutes=30),
            verdict="undecodable",
            reason="quarantined: it ends the process that reads it",
        )
    )
    into.batch("wrong", verdict="invalid", reason="batchId: expected a UUID", batch_id="no uuid", ago=1700)
    into.state("tiktok", "blocked", error_code="token_invalid", platform_code="40105")
    into.state("klaviyo", "throttled", until=into.now + timedelta(hours=1), error_code="throttled")
    into.loss("facebook", 12)


def _running(into: Reports) -> None:
    for number in range(1, 13):
        batch = into.batch("Winter sale", 8000, 300 - 20 * number, **_of(31, number, 12, 96_000))
        if number < 10:
            into.end(batch, "facebook", after=8)
        if number < 6:
            into.end(batch, "klaviyo", after=30, counts=Counts(received=8000, accepted=8000, matched=7012))


def many(into: Reports, count: int = 10_000) -> None:
    """Tell of so many sessions."""
    for number in range(count):
        batch = into.batch(f"Audience {number % 400}", 100, count - number, session_id=f"s{number}", total_users=100)
        into.end(batch, "facebook", after=1)
