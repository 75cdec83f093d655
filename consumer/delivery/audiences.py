"""Find or create audiences, once each among all processes, by claims in the directory."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from consumer.retries.clock import Time
from consumer.retries.kafka_retries import keep_trying
from providers.kit.errors import RejectError, RetryError, StopError, platform_error
from providers.kit.provider import AnyProvider
from schemas.records import AudienceType, Claim, DirectoryEntry
from streams.tables.audience_claims import Holding
from streams.tables.audience_directory import Directory

log = structlog.get_logger()

LONGEST_WAIT = 5.0
"""Seconds for which a record waits for its audience; longer ones would hold up those of other audiences."""

LOOK_AGAIN = 5.0
"""Seconds between look-ups for an audience that may have been created and does not show yet."""


@dataclass(slots=True, kw_only=True)
class Audiences:
    """The audiences of one account. Looking up and creating one name is done by one task of one process at a time.

    `expiry` is how long a claim lasts, in seconds, and how long a platform may take to list what was created.
    """

    provider: AnyProvider
    directory: Directory
    time: Time
    now: Callable[[], datetime]
    expiry: float
    ends: Callable[[], Awaitable[Sequence[int]]] | None = None
    """Returns where the directory's topic ends now, for who must not miss what another process has made."""
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    """What this process's claims are known by."""
    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    _names: dict[str, "_Name"] = field(default_factory=dict)
    _asked: dict[tuple[str, AudienceType], "_Asked"] = field(default_factory=dict)

    async def ask(self, platform_name: str, audience_type: AudienceType) -> str:
        """Return what `id_of` returns, shared by all who ask meanwhile, or raise what it raises.

        Raises RetryError(`audience_pending`) once that takes longer than LONGEST_WAIT; it goes on all the same.
        """
        key = platform_name, audience_type
        asked = self._asked.get(key)
        if asked is None:
            task = asyncio.create_task(
                self.id_of(platform_name, audience_type), context=Context()
            )  # it is nobody's own
            task.add_done_callback(lambda done: self._answered(key, done))
            asked = self._asked[key] = _Asked(task, self.time.clock())
        await asyncio.wait({asked.task}, timeout=max(0.0, asked.since + LONGEST_WAIT - self.time.clock()))
        if not asked.task.done():
            raise platform_error("audience_pending", wait=LONGEST_WAIT)
        return asked.task.result()

    def _answered(self, key: tuple[str, AudienceType], task: "asyncio.Task[str]") -> None:
        self._asked.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever still waits is told; nobody may

    async def close(self) -> None:
        """End what goes on without anybody waiting; its claims end by themselves."""
        tasks = [asked.task for asked in self._asked.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def id_of(self, platform_name: str, audience_type: AudienceType) -> str:
        """Return the id of an audience, creating it where the platform has none.

        1. What the directory says holds, unless the platform denied it. 2. Without an id, claim the name and read
        up to the claim; where another one holds, wait for its id or its end. 3. Look the audience up, again and
        again while one may have been created that does not show. 4. Create it. 5. Write its id.
        Raises PlatformError; RejectError(`name_taken`) where the name belongs to the other type.
        """
        async with self._locks[platform_name]:
            name = self._names.setdefault(platform_name, _Name(self, platform_name))
            return await name.id_for(audience_type)

    async def existing(self, platform_name: str, audience_type: AudienceType) -> str | None:
        """Return the id of an audience, None where there is none: nothing is claimed, created or written.

        A platform may list what was created only later, so what the directory says holds. Raises PlatformError;
        RejectError(`name_taken`) where the name belongs to the other type.
        """
        held = self.directory.holding(platform_name)
        if (held is None or held.audience_id is None) and self.ends is not None:
            await keep_trying(self._caught_up, "The directory's end is not known", self.time)
            held = self.directory.holding(platform_name)
        if held is None or held.audience_id is None or held.audience_id == self._stale_of(platform_name):
            return await self.provider.find_audience(platform_name)
        if held.type != audience_type:
            raise platform_error("name_taken")
        return held.audience_id

    async def _caught_up(self) -> None:
        assert self.ends is not None  # noqa: S101 -- for the type checker
        await self.directory.catch_up(dict(enumerate(await self.ends())))

    def _stale_of(self, platform_name: str) -> str | None:
        return self._names[platform_name].stale if platform_name in self._names else None

    def forget(self, platform_name: str, audience_id: str) -> None:
        """Note that the platform no longer knows an id; the next one who asks makes another."""
        self._names.setdefault(platform_name, _Name(self, platform_name)).stale = audience_id


@dataclass(frozen=True, slots=True)
class _Asked:
    """An id that is being found out, and since when."""

    task: "asyncio.Task[str]"
    since: float


@dataclass(slots=True)
class _Name:
    """What this process knows of one name besides the directory. Times are of the process's own clock."""

    of: Audiences
    text: str
    stale: str | None = None
    claimed_until: float = 0.0
    suspected_until: float = 0.0
    """Until when an audience may exist that look-ups do not show."""
    has_written: bool = False
    written: str | None = None
    """Id in the last record that we wrote; None where that was a claim."""

    async def id_for(self, audience_type: AudienceType) -> str:
        while True:
            held = self.of.directory.holding(self.text)
            if held and held.audience_id and held.type != audience_type:
                raise platform_error("name_taken")
            if held and held.audience_id and held.audience_id != self.stale:
                await self._confirm(held)
                return held.audience_id
            if held and self._is_anothers(held):
                await self.of.directory.progress(max(0.01, (held.until - self.of.now()).total_seconds()))
                continue
            await self._make(audience_type, held)

    def _is_anothers(self, held: Holding) -> bool:
        return held.audience_id is None and held.nonce != self.of.nonce and held.is_live(self.of.now())

    async def _confirm(self, held: Holding) -> None:
        """Write an id once more where a record of ours came after it: compaction keeps the last."""
        if self.has_written and self.written != held.audience_id:
            await self._write(held.type, audience_id=held.audience_id)

    async def _make(self, audience_type: AudienceType, held: Holding | None) -> None:
        """Claim the name and take one step towards an id; return for the directory to be asked again."""
        if not await self._claim(audience_type, held):
            return
        try:
            found = await self.of.provider.find_audience(self.text)
            if found is None and self.of.time.clock() < self.suspected_until:
                await self.of.time.sleep(min(LOOK_AGAIN, self.of.expiry / 4))
                return
            found = found or await self._create(audience_type)
        except (RejectError, StopError):
            if self.of.time.clock() < self.claimed_until:
                await self._write(None)
            raise
        self.stale = None
        await self._write(audience_type, audience_id=found)

    async def _claim(self, audience_type: AudienceType, held: Holding | None) -> bool:
        """Hold the name for at least half a claim's time; False if it is another's.

        Who takes over an ended claim must allow for an audience that was created under it at the last moment.
        """
        is_ours = held is not None and held.audience_id is None and held.nonce == self.of.nonce
        begun = self.of.time.clock()
        if is_ours and self.claimed_until - begun > self.of.expiry / 2:
            return True
        if held is not None and held.audience_id is None and not is_ours:
            ended = (self.of.now() - held.until).total_seconds()
            self.suspected_until = max(self.suspected_until, begun + self.of.expiry - ended)
        claim = Claim(nonce=self.of.nonce, expires_at=self.of.now() + timedelta(seconds=self.of.expiry))
        await self._write(audience_type, audience_id=held.audience_id if held else None, claim=claim)
        self.claimed_until = begun + self.of.expiry
        now_held = self.of.directory.holding(self.text)
        return now_held is not None and now_held.audience_id is None and now_held.nonce == self.of.nonce

    async def _create(self, audience_type: AudienceType) -> str:
        """Create the audience; after an ambiguous answer it may exist and not show yet."""
        try:
            made = await self.of.provider.create_audience(self.text, audience_type)
        except RetryError as error:
            if error.is_ambiguous:
                self.suspected_until = self.of.time.clock() + self.of.expiry
            raise
        log.info("Audience created.", provider=self.of.provider.name, audience_id=made, action="create")
        return made

    async def _write(
        self, audience_type: AudienceType | None, *, audience_id: str | None = None, claim: Claim | None = None
    ) -> None:
        """Write a record about the name and return when it was read; without a type delete what there is."""
        owner = self.of.directory.owner
        entry = audience_type and DirectoryEntry(
            provider=owner.provider,
            host=owner.host,
            platform_account_id=owner.platform_account_id,
            platform_name=self.text,
            type=audience_type,
            audience_id=audience_id,
            claim=claim,
            written_at=self.of.now(),
        )
        await keep_trying(
            lambda: self.of.directory.write(self.text, entry or None),
            "An entry of the directory is not acknowledged",
            self.of.time,
            provider=owner.provider,
        )
        self.written, self.has_written = None if claim else audience_id, True
