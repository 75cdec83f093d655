"""First and end offset of a partition."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

LIMIT = 10.0
"""Seconds that a broker may take to answer."""

_PASSING = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART}
)
"""What brokers say for a moment after a topic was created or a leader elected."""


def watermarks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return first and end offset. Raises KafkaException."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            found: tuple[int, int] = consumer.get_watermark_offsets(TopicPartition(topic, partition), LIMIT)
        except KafkaException as error:
            if time.monotonic() >= deadline or error.args[0].code() not in _PASSING:
                raise
            time.sleep(0.05)
        else:
            return found
