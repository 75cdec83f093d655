"""Schema ids kept by a Confluent schema registry."""

import json
from collections.abc import Mapping

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from schemas.framing import RegistryUnavailableError


class ConfluentRegistry:
    """A schema registry; the subject of a record is its topic's name and `-value`.

    `topics` says for each record which topic it stands on. `mock://` is a registry in memory, for tests.
    """

    def __init__(self, url: str, topics: Mapping[str, str]) -> None:
        self._client = SchemaRegistryClient.new_client({"url": url})
        self._topics = topics
        self._ids: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    def schema_id(self, record: str, schema: str) -> int:
        """Return the id of a record's schema, registering it once. Raises RegistryUnavailableError."""
        if record not in self._ids:
            try:
                registered = self._client.register_schema(f"{self._topics[record]}-value", Schema(schema, "AVRO"))
            except Exception as error:
                raise RegistryUnavailableError from error
            self._ids[record] = registered
        return self._ids[record]

    def schema_text(self, schema_id: int) -> str | None:
        """Return a schema by its id, None if the registry has none such. Raises RegistryUnavailableError."""
        if schema_id not in self._texts:
            try:
                found = self._client.get_schema(schema_id)
            except SchemaRegistryError as error:
                if error.http_status_code == 404:
                    return None
                raise RegistryUnavailableError from error
            except Exception as error:
                raise RegistryUnavailableError from error
            self._texts[schema_id] = json.dumps(json.loads(found.schema_str))
        return self._texts[schema_id]
