"""What a run asks of the sandbox: faults, counters, and what the platforms hold."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import aiohttp

from cli.demo.made_up_people import Member


@dataclass(frozen=True, slots=True)
class SandboxClient:
    """The sandbox at a URL."""

    session: aiohttp.ClientSession
    url: str

    async def fail(self, **fault: object) -> None:
        """Make calls to a platform fail."""
        async with self.session.post(f"{self.url}/_sandbox/faults", json=fault) as response:
            response.raise_for_status()

    async def clear(self, **only: str) -> None:
        """End all faults `but` some kinds, or those of a `provider` and `fault`."""
        async with self.session.delete(f"{self.url}/_sandbox/faults", params=only) as response:
            response.raise_for_status()

    async def counters(self) -> dict[str, dict[str, Any]]:
        """Return the counters by provider."""
        found: dict[str, dict[str, Any]] = await self._get("counters")
        return found

    async def audiences(self, provider: str) -> Counter[str]:
        """Return how many audiences of each name there are."""
        found = await self._get("audiences", provider=provider)
        return Counter(audience["name"] for audience in found["audiences"])

    async def members(self, provider: str, audience: str) -> set[Member]:
        """Return what a platform holds under a name."""
        found = await self._get("members", provider=provider, audience=audience)
        return {tuple(member) for member in found["members"]}

    async def _get(self, path: str, **query: str) -> Any:
        async with self.session.get(f"{self.url}/_sandbox/{path}", params=query) as response:
            response.raise_for_status()
            return await response.json()
