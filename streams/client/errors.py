"""What can go wrong between us and Kafka, named by what to do next."""

from streams.client.refusals import Refusal


class StreamError(Exception):
    """Kafka did not do what it was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__class__.__doc__)


class KafkaUnreachableError(StreamError):
    """No broker answers: nothing was sent, try again later."""


class KafkaStalledError(KafkaUnreachableError):
    """Brokers answer and acknowledge nothing: nothing was sent, try again later."""


class QueueFullError(StreamError):
    """The queue towards Kafka has no room: nothing was sent, try again in a moment."""


class NotAcknowledgedError(StreamError):
    """Kafka did not confirm the record: it may or may not be written, send it again."""


class RecordRefusedError(NotAcknowledgedError):
    """Kafka refuses the record for good: it is not written, and waiting does not help."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        super().__init__(None if refusal is None else f"{refusal}.")
        self.refusal = refusal


class RecordTooLargeError(RecordRefusedError):
    """Kafka refuses the record for its size: it is not written, send a smaller one."""


class WeakerTopicsError(StreamError):
    """Topics exist with weaker settings than promised: mend them, or allow it by a setting."""


class TopicRefusedError(StreamError):
    """Kafka refuses to create or describe a topic: see to the rights of this user, or create it by hand."""


class TopicMadeAnewError(StreamError):
    """A topic was deleted and made anew: what is known of its offsets counts for nothing, start the process again."""


class ReaderFailedError(StreamError):
    """The reader's thread ended by an error: nothing more will be read, start the process again."""

    def __init__(self, reason: str | None = None) -> None:
        message = (
            f"The reader's thread ended by an error ({reason}): nothing more will be read, start the process again."
        )
        super().__init__(message if reason else None)


class ProducerFailedError(KafkaUnreachableError):
    """The producer failed for good: nothing more can be written, start the process again."""

    def __init__(self, reason: str | None = None) -> None:
        message = f"The producer failed for good ({reason}): nothing more can be written, start the process again."
        super().__init__(message if reason else None)


class BrokerFailedError(StreamError):
    """The local Kafka did not start."""


class PortTakenError(StreamError):
    """A port that was asked for is taken: choose another one, or end what listens there."""
