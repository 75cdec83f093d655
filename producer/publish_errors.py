"""What keeps a program's batch from being published; the class says what to do next."""

from schemas.error_words import VOCABULARY
from streams.client.errors import RecordRefusedError


class PublishError(Exception):
    """A batch was not published; the class says what to do next."""


class InvalidBatchError(PublishError):
    """The batch breaks a rule: nothing was written, mend what the message names."""


class RefusedByKafkaError(PublishError):
    """Kafka refuses a record of the batch for good, in the word that the message has; `kind` is ours for it.

    Once that is seen to, publish the same again with the same `batch_id`: other records of it may be written.
    """

    def __init__(self, error: RecordRefusedError, batch_id: str) -> None:
        self.kind = error.refusal.kind if error.refusal else "kafka_refused"
        self.batch_id = batch_id
        message = f"{self.kind}: {error} {VOCABULARY[self.kind].remedy}"
        super().__init__(f"{message} Then publish the same again with the batch id {batch_id}.")


class NothingWrittenError(PublishError):
    """Kafka, the registry or a reader of the log is not ready: nothing was written, publish the same again later."""


class NotConfirmedError(PublishError):
    """Kafka did not confirm every record: publish the same again with the same `batch_id`."""

    def __init__(self, batch_id: str) -> None:
        super().__init__(f"Kafka did not confirm every record: publish the same again with the batch id {batch_id}.")
        self.batch_id = batch_id
