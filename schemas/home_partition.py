"""The partition whose offsets are the order of an audience's records."""

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_WORD = 0xFFFFFFFF


def home_partition(key: str, partitions: int) -> int:
    """Return the partition of a key, of so many that the log was created with, as Kafka's own partitioner chooses it.

    Source: `BuiltInPartitioner.partitionForKey` of Kafka's Java client, `murmur2` of librdkafka.
    """
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return the hash by which Kafka's clients place keys, 32 bits without a sign."""
    end = len(data) & ~3
    value = _SEED ^ len(data)
    for at in range(0, end, 4):
        word = int.from_bytes(data[at : at + 4], "little") * _FACTOR & _WORD
        word = (word ^ word >> 24) * _FACTOR & _WORD
        value = (value * _FACTOR & _WORD) ^ word
    if end < len(data):
        value = (value ^ int.from_bytes(data[end:], "little")) * _FACTOR & _WORD
    value = (value ^ value >> 13) * _FACTOR & _WORD
    return value ^ value >> 15
