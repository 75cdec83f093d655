"""Publish two made-up people with confluent-kafka and fastavro."""

import io
import json
import os
import uuid
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer
from fastavro import parse_schema, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

NAME = "Example fastavro"


def encode(record: dict[str, object]) -> bytes:
    """Return a record in Avro's single-object encoding."""
    schema = json.loads(Path(os.environ.get("SCHEMAS", "."), "AudienceBatch.avsc").read_text(encoding="utf-8"))
    mark = bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))
    buffer = io.BytesIO(b"\xc3\x01" + mark)
    buffer.seek(0, io.SEEK_END)
    schemaless_writer(buffer, parse_schema(schema), record)
    return buffer.getvalue()


def batch(name: str) -> dict[str, object]:
    """Return a batch; what is left out has a default."""
    return {
        "batchId": str(uuid.uuid4()),
        "name": name,
        "users": [{"email": "ada@example.com", "firstName": "Ada"}, {"email": "soren@example.com"}],
    }


def send(value: bytes, name: str) -> None:
    """Write a value, and say where it stands once all in-sync replicas have it."""
    producer = Producer(
        {
            "bootstrap.servers": os.environ.get("BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # as Java's client chooses; librdkafka's own default differs
        }
    )

    def report(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            raise SystemExit(f"not written, send it again as it was: {error}")
        print(f"record {message.topic()}-{message.partition()}@{message.offset()}")

    topic = os.environ.get("TOPIC", "audience.batches")
    producer.produce(topic, value, key=f"custom:{name}", headers={"audience-source": "crm"}, on_delivery=report)
    producer.flush()


if __name__ == "__main__":
    record = batch(NAME)
    print(f"batch {record['batchId']}")
    send(encode(record), NAME)
