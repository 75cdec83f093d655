"""What other programs import; nothing else that this distribution installs is for them.

`from audience import AudiencePublisher` writes batches to the log, `audience.provider` has what the author of a
platform needs, and `audience.conformance` the tests that each platform must pass.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audience.publisher import (
        AudiencePublisher,
        AudienceType,
        AudienceUser,
        Ignored,
        InvalidBatchError,
        KafkaSettings,
        Mode,
        NotConfirmedError,
        NothingWrittenError,
        Origin,
        Published,
        PublishError,
        Purchase,
        RefusedByKafkaError,
        User,
    )
else:

    def __getattr__(name: str) -> object:
        """Import the publisher when it is asked for: the author of a platform needs no client of Kafka."""
        if name in __all__:
            return getattr(import_module("audience.publisher"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AudiencePublisher",
    "AudienceType",
    "AudienceUser",
    "Ignored",
    "InvalidBatchError",
    "KafkaSettings",
    "Mode",
    "NotConfirmedError",
    "NothingWrittenError",
    "Origin",
    "PublishError",
    "Published",
    "Purchase",
    "RefusedByKafkaError",
    "User",
]
