"""Find or create audiences, once each, and remember their ids while the process lives."""

import asyncio
from collections import defaultdict

from providers.base import AnyProvider
from schemas.records import AudienceType


class Audiences:
    """The audiences of one account. Looking up and creating one name is done by one task at a time."""

    def __init__(self, provider: AnyProvider) -> None:
        self._provider = provider
        self._ids: dict[str, str] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def id_of(self, platform_name: str, audience_type: AudienceType) -> str:
        """Return the id of an audience, creating it where the platform has none. Raises PlatformError."""
        async with self._locks[platform_name]:
            if platform_name not in self._ids:
                found = await self._provider.find_audience(platform_name)
                self._ids[platform_name] = found or await self._provider.create_audience(platform_name, audience_type)
            return self._ids[platform_name]

    def forget(self, platform_name: str, audience_id: str) -> None:
        """Drop an id that the platform no longer knows; a newer id of the same name stays."""
        if self._ids.get(platform_name) == audience_id:
            del self._ids[platform_name]
