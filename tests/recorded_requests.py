"""What a provider sends, noted on its way."""

from dataclasses import dataclass, field

from providers.kit.http import Answer, Request, Transport
from providers.kit.provider import AnyProvider


@dataclass(frozen=True, slots=True)
class _Recorder:
    transport: Transport
    requests: list[Request] = field(default_factory=list)

    async def send(self, request: Request) -> Answer:
        """Note a request and pass it on."""
        self.requests.append(request)
        return await self.transport.send(request)


def recorded_requests(provider: AnyProvider) -> list[Request]:
    """Return a list that each request of a provider from now on comes into."""
    recorder = _Recorder(provider.transport)
    provider.transport = recorder
    return recorder.requests
