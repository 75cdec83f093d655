"""`POST /audience` validates an upload and writes it to the log; `AudiencePublisher` does the same without HTTP."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.publisher import (
        AudiencePublisher,
        InvalidBatchError,
        NotConfirmedError,
        NothingWrittenError,
        Published,
        PublishError,
        RefusedByKafkaError,
    )
else:

    def __getattr__(name: str) -> object:
        """Import what is exported when it is asked for; importing this package takes no time."""
        if name in __all__:
            return getattr(import_module("producer.publisher"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "AudiencePublisher",
    "InvalidBatchError",
    "NotConfirmedError",
    "NothingWrittenError",
    "PublishError",
    "Published",
    "RefusedByKafkaError",
]
