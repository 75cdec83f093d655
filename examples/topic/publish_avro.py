"""Publish two made-up people with confluent-kafka and Apache's own avro."""

import io
import os
from pathlib import Path

from avro.io import BinaryEncoder, DatumWriter
from avro.schema import parse
from publish_fastavro import batch, send

NAME = "Example avro"


def encode(record: dict[str, object]) -> bytes:
    """Return a record in Avro's single-object encoding. This library wants every field, whatever its default."""
    schema = parse(Path(os.environ.get("SCHEMAS", "."), "AudienceBatch.avsc").read_text(encoding="utf-8"))
    by_name = {field.name: field for field in schema.fields}
    users = by_name["users"].type.items
    people = [{field.name: user.get(field.name) for field in users.fields} for user in record["users"]]
    whole = {name: field.default for name, field in by_name.items() if field.has_default} | record | {"users": people}
    buffer = io.BytesIO()
    DatumWriter(schema).write(whole, BinaryEncoder(buffer))
    return b"\xc3\x01" + schema.fingerprint("CRC-64-AVRO") + buffer.getvalue()


if __name__ == "__main__":
    record = batch(NAME)
    print(f"batch {record['batchId']}")
    send(encode(record), NAME)
