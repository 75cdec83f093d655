"""Which replays are known here and in the cluster, and how each stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from cli.replay.saved_replays import Replay, Runner, known, runner_of
from cli.replay.selection import Choice
from consumer.replay.replayer import replay_of
from streams.client.settings import KafkaSettings
from streams.cluster.groups import group_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedReplay:
    """A replay as it is listed; what was asked for and when it began is known where it was begun only."""

    id: str
    state: Literal["running", "interrupted", "complete", "elsewhere"]
    """`elsewhere`: begun on another machine or with another data folder."""
    created_at: datetime | None = None
    targets: list[str]
    choice: Choice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """Where replays are known: this machine's data folder, and the groups of the cluster."""

    data: Path
    kafka: KafkaSettings | None
    prefix: str

    async def listed(self) -> list[ListedReplay]:
        """Return all replays, the newest first, then those of elsewhere. Raises KafkaUnreachableError."""
        saved = sorted(known(self.data), key=lambda one: one.created_at, reverse=True)
        mine = [_listed(one, runner_of(self.data, one.id)) for one in saved]
        ids = {one.id for one in mine}
        return mine + [_foreign(*one) for one in (await self.in_cluster()).items() if one[0] not in ids]

    async def in_cluster(self) -> Mapping[str, list[str]]:
        """Return the accounts of each replay that has a group, which goes when all is sent. It never has a member."""
        found: dict[str, list[str]] = {}
        for group in sorted(await group_ids(self.kafka)) if self.kafka else ():
            if part := replay_of(group, self.prefix):
                found.setdefault(part[1], []).append(str(part[0]))
        return found


def _listed(found: Replay, runner: Runner | None) -> ListedReplay:
    return ListedReplay(
        id=found.id,
        state="running" if runner else "complete" if found.is_done else "interrupted",
        created_at=found.created_at,
        targets=found.targets,
        choice=found.choice,
    )


def _foreign(replay_id: str, targets: list[str]) -> ListedReplay:
    return ListedReplay(id=replay_id, state="elsewhere", targets=targets)
