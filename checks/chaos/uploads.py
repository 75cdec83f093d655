"""Uploads of made-up people, as several impatient clients would make them, and what each was answered."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from checks.chaos.churn import Churn
from checks.chaos.small import FIRST, Small
from checks.chaos.verdict import MAY, MUST, MUST_NOT, Upload

AUDIENCE = "Chaos"
"""What the name of every audience of these clients begins with."""

LARGE = 12_000
"""People of whom a record can't hold all, so that the upload has several parts."""

LARGE_EVERY = 40
NEW_AUDIENCE_EVERY = 12
CHANGES = 0.4
"""Share of uploads that add people to a few audiences, or take them out again."""

SMALL_ONES = 0.3
"""Share of the other uploads that are of few people, some of whom a platform refuses."""

ANSWER_TIMEOUT = 20.0
TRIES = 3


def fate_of(status: int, body: object, targets: Sequence[str]) -> str | None:
    """Return what an answer says of an upload's users; None where it is none that a sound upload may get.

    What a sync request is told of targets, it is told of an upload that was accepted.
    """
    errors = body.get("errors") if isinstance(body, dict) else None
    told = errors if isinstance(errors, list) else []
    if status == 200 and isinstance(body, dict) and body.get("success") is True:
        return MUST
    if status == 503 and told:
        return MUST_NOT if all("nothing was accepted" in str(error) for error in told) else MAY
    if status in (400, 504) and told and all(str(error).partition(":")[0] in targets for error in told):
        return MUST
    return None


@dataclass(slots=True)
class Clients:
    """Clients that upload until told to end, each to any of the servers."""

    urls: Sequence[str]
    targets: Sequence[str]
    chance: random.Random
    uploads: list[Upload] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    """Answers that no sound upload may get."""
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    churn: Churn = field(init=False)
    small: Small = field(init=False)
    _people: int = 0

    def __post_init__(self) -> None:
        self.churn, self.small = Churn(self.chance), Small(self.chance)

    @property
    def users(self) -> int:
        """How many people were uploaded, each counted once."""
        return sum(upload.count for upload in self.uploads)

    async def run(self, clients: int) -> None:
        """Upload until `is_over`, or until all made-up people are used up."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            for _ in range(clients):
                tasks.create_task(self._keep_uploading(session))

    async def _keep_uploading(self, session: aiohttp.ClientSession) -> None:
        while not self.is_over.is_set() and self._people + LARGE < FIRST:
            await self.upload(session, self._any())
            await asyncio.sleep(self.chance.uniform(0, 0.8))

    def _any(self) -> Upload:
        """Return the next upload, of any kind."""
        if self.chance.random() < CHANGES:
            return self.churn.next()
        small = self.small.next() if self.chance.random() < SMALL_ONES else None
        return small or self._next()

    def _next(self) -> Upload:
        """Return the next upload whom all want: most are small, few are large, some name an audience that is new."""
        number = len(self.uploads)
        most = self.chance.choice((1, 20, 20, 300, 300, 2000))
        count = LARGE if number % LARGE_EVERY == 2 else self.chance.randint(1, most)
        audience = f"{AUDIENCE} {self.chance.randint(0, 3 + number // NEW_AUDIENCE_EVERY)}"
        upload = Upload(audience=audience, start=self._people, count=count)
        self._people += count
        self.uploads.append(upload)
        return upload

    async def upload(self, session: aiohttp.ClientSession, upload: Upload) -> None:
        """Send an upload; where that comes to nothing, most clients send it again, perhaps to another server."""
        users = await asyncio.to_thread(lambda: json.dumps(list(upload.users())))
        for _ in range(TRIES):
            fate = await self._send(session, upload, users)
            upload.note(fate)
            if fate == MUST or self.chance.random() < 0.3:
                return
            await asyncio.sleep(self.chance.uniform(0.1, 1))

    async def _send(self, session: aiohttp.ClientSession, upload: Upload, users: str) -> str:
        is_sync, is_patient = self.chance.random() < 0.5, self.chance.random() < 0.9
        form = aiohttp.FormData(default_to_multipart=True)
        place = {"sessionId": upload.start, "sequence": 1, "totalBatches": 1, "totalUsers": upload.count}
        for name, text in {"name": upload.audience, "batch": json.dumps(place), "users": users}.items():
            form.add_field(name, text)
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT if is_patient else self.chance.uniform(0.05, 2))
        url = f"{self.chance.choice(self.urls)}/audience"
        query = {**upload.query, **({"sync": "true"} if is_sync else {})}
        try:
            async with session.post(url, data=form, params=query, timeout=timeout) as response:
                return self._noted(upload, is_sync, response, await response.text())
        except aiohttp.ClientConnectorError:
            self.answers["no server"] += 1
            return MUST_NOT
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.answers["no answer"] += 1
            return MAY

    def _noted(self, upload: Upload, is_sync: bool, response: aiohttp.ClientResponse, text: str) -> str:
        body: Any = json.loads(text) if response.content_type == "application/json" else text
        fate = fate_of(response.status, body, self.targets)
        self.answers[f"{response.status}{' sync' if is_sync else ''}"] += 1
        if "X-Batch-Id" in response.headers:
            upload.batch_ids.append(response.headers["X-Batch-Id"])
        if fate is None:
            self.wrong.append(f"an upload was answered {response.status}")
        return fate or MAY
