"""Schema ids kept by a Confluent schema registry."""

import time
from collections import deque
from collections.abc import Mapping

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from schemas.avro.framing import RegistryUnavailableError
from schemas.avro.schema_references import inlined

TIMEOUT = 5.0
"""Seconds that one question may take; the client asks three times more."""

LONGEST = 30.0
"""Seconds from which on no further schema is asked for that one refers to: the registry counts as away."""

MOST_REFERENCES = 50
"""Schemas that one may refer to, directly or by others; the types of those beyond count as not defined."""

_NO_SUCH_ID = frozenset({400, 404, 422})
"""What registries answer to an id that they do not have, or that is too large for them."""


class ConfluentRegistry:
    """A schema registry; the subject of a record is its topic's name and `-value`.

    `topics` says for each record which topic it stands on. `mock://` is a registry in memory, for tests.
    """

    def __init__(self, url: str, topics: Mapping[str, str]) -> None:
        self._client = SchemaRegistryClient.new_client({"url": url, "timeout": TIMEOUT})
        self._url = url
        self._topics = topics
        self._ids: dict[str, int] = {}
        self._texts: dict[int, str] = {}

    def __reduce__(self) -> tuple[type["ConfluentRegistry"], tuple[str, Mapping[str, str]]]:
        """Return what makes another one in another process."""
        return ConfluentRegistry, (self._url, self._topics)

    def close(self) -> None:
        """Close the connections; what was learned stays."""
        self._client.close()

    def schema_id(self, record: str, schema: str) -> int:
        """Return the id of a record's schema, registering it once. Raises RegistryUnavailableError."""
        if record not in self._ids:
            subject = f"{self._topics[record]}-value"
            try:
                self._ids[record] = self._client.register_schema(subject, Schema(schema, "AVRO"))
            except Exception as error:
                raise _unavailable(error, f"register {subject}") from error
        return self._ids[record]

    def schema_text(self, schema_id: int) -> str | None:
        """Return a schema by its id, in one piece, None if there is none. Raises RegistryUnavailableError."""
        if schema_id not in self._texts:
            try:
                found = self._client.get_schema(schema_id)
                text = found.schema_str and inlined(found.schema_str, self._referenced(found))
            except Exception as error:
                if isinstance(error, SchemaRegistryError) and error.http_status_code in _NO_SUCH_ID:
                    return None
                raise _unavailable(error, f"return schema {schema_id}") from error
            if text is None:
                return None
            self._texts[schema_id] = text
        return self._texts[schema_id]

    def _referenced(self, schema: Schema) -> dict[str, str]:
        """Return the schemas that one refers to, and those that they refer to, by the names of their types."""
        found: dict[str, str] = {}
        deadline = time.monotonic() + LONGEST
        left = deque(schema.references or ())
        while left and len(found) < MOST_REFERENCES:
            reference = left.popleft()
            if not reference.name or not reference.subject or not reference.version or reference.name in found:
                continue
            if time.monotonic() > deadline:
                raise TimeoutError
            other = self._client.get_version(reference.subject, reference.version).schema
            if other is not None and other.schema_str:
                found[reference.name] = other.schema_str
                left.extend(other.references or ())
        return found


def _unavailable(error: Exception, what: str) -> RegistryUnavailableError:
    """The client lets through whatever its HTTP library raises, so any exception is the registry's."""
    reason = f"HTTP {error.http_status_code}" if isinstance(error, SchemaRegistryError) else type(error).__name__
    return RegistryUnavailableError(f"the schema registry did not {what} ({reason})")
