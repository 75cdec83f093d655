"""From a checked upload to its records."""

from collections.abc import Sequence
from dataclasses import dataclass

from producer import records
from producer.answers import no_room
from producer.request.request_form import RequestForm
from producer.request.unknown_names import Ignored
from producer.upload.checking import Checked
from schemas.avro.codec import Part
from schemas.avro.framing import Framing, RegistryUnavailableError
from schemas.records import AudienceBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """An upload as one or more records."""

    request: RequestForm
    ignored: tuple[Ignored, ...]
    parts: Sequence[Part]

    @property
    def batch(self) -> AudienceBatch:
        """What its first record says, without users."""
        return self.parts[0].batch

    @property
    def users(self) -> int:
        """How many users it has."""
        return sum(part.users for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes of its records."""
        return sum(len(part.value) for part in self.parts)


async def encode(checked: Checked, framing: Framing) -> Encoded:
    """Encode an upload. Raises Refused."""
    try:
        parts = await records.encode(checked.batch, checked.blocks, framing)
    except RegistryUnavailableError:
        raise no_room("the schema registry can't be reached") from None
    return Encoded(request=checked.request, ignored=checked.ignored, parts=parts)
