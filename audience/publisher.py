"""What a program needs that writes to the log itself: import these names from `audience`."""

from producer.publisher import (
    AudiencePublisher,
    InvalidBatchError,
    NotConfirmedError,
    NothingWrittenError,
    Published,
    PublishError,
    RefusedByKafkaError,
    User,
)
from producer.request.unknown_names import Ignored
from schemas.records import AudienceType, AudienceUser, Mode, Origin, Purchase
from streams.client.settings import KafkaSettings

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
