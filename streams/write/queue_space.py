"""Room in the queue towards Kafka: what is reserved of it, and what is on its way."""

from types import TracebackType


class QueueSpace:
    """Bytes of the queue that are reserved or on their way."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0

    def fits(self, size: int) -> bool:
        """Tell whether there is room; alone, anything fits."""
        return not self.used or self.used + size <= self._limit


class Reservation:
    """Room in the queue towards Kafka that nobody else gets; a context manager that gives back the rest."""

    def __init__(self, room: QueueSpace, size: int) -> None:
        self._room = room
        self.size = size
        room.used += size

    def __enter__(self) -> "Reservation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release(self.size)

    def release(self, size: int) -> None:
        """Give back some bytes, at most what is left."""
        size = min(size, self.size)
        self.size -= size
        self._room.used -= size
