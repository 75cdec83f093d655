"""A program that publishes, as others write it: two made-up people to the Kafka at an address."""

import asyncio
import sys

from audience import AudiencePublisher, AudienceUser, KafkaSettings, Published, User


async def publish(bootstrap_servers: str) -> Published:
    """Publish a typed user and one as JSON has it; return when Kafka has both."""
    users: list[User] = [AudienceUser(email="ada@example.com"), {"email": "alan@example.com"}]
    async with AudiencePublisher(KafkaSettings(bootstrap_servers=bootstrap_servers)) as publisher:
        return await publisher.publish(users, name="VIP")


if __name__ == "__main__":
    published = asyncio.run(publish(sys.argv[1]))
    print(published.batch_id, *published.origins)  # noqa: T201 -- the output
