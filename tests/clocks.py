"""Time as a test wants it."""


class Clock:
    """Time that passes when told to."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
