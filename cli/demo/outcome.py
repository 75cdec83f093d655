"""What came of the uploads of the demo."""

import time
from dataclasses import dataclass, field

from cli.errors import CommandError
from schemas.records import TERMINAL, BatchCompletion, Origin
from schemas.target import Target


class DemoFailedError(CommandError):
    """What the platforms hold is not what was uploaded."""


@dataclass(slots=True)
class Outcome:
    """The latest word of each account on each record: a success is final."""

    begun: float = field(default_factory=time.time)
    latest: dict[tuple[Origin, Target], BatchCompletion] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)

    def take(self, completion: BatchCompletion) -> None:
        """Fold a completion in."""
        target = Target(completion.provider, completion.account or "")
        known = self.latest.get((completion.origin, target))
        is_final = known is not None and known.status in ("delivered", "partial")
        if completion.status in TERMINAL and completion.batch_id and not is_final:
            self.latest[completion.origin, target] = completion
            self.parts[completion.batch_id] = completion.parts or 1
            self.ended[completion.provider] = time.time() - self.begun

    def is_complete(self, batches: int, targets: int) -> bool:
        """Tell whether every account is through with every part of so many batches."""
        return len(self.parts) == batches and len(self.latest) == sum(self.parts.values()) * targets

    def of(self, provider: str) -> list[BatchCompletion]:
        """Return the completions of a provider."""
        return [completion for completion in self.latest.values() if completion.provider == provider]
