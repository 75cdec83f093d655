"""`audience publish`: write a batch to the log, as a system of one's own would."""

from argparse import Namespace
from collections.abc import Iterator

from cli.config import Config
from producer import AudiencePublisher, InvalidBatchError, Published
from providers.table import installed
from schemas.target import parse_target


async def publish(users: bytes, options: Namespace, config: Config) -> None:
    """Publish a JSON array of users; print where the records stand. Raises PublishError, ConfigError (no Kafka)."""
    registry = config.common.registry
    url = registry.get_secret_value() if registry else None
    async with AudiencePublisher(config.kafka, prefix=config.common.prefix, registry=url) as publisher:
        published = await publisher.publish(
            users,
            name=options.name,
            type=options.type,
            disable_prefix=options.disable_prefix,
            channels=None if options.channels is None else _channels(options.channels),
            session_id=options.session,
            sequence=options.sequence,
            total_batches=options.total_batches,
            total_users=options.total_users,
            pull_date=options.pull_date,
            batch_id=options.batch_id,
        )
    for line in _lines(published, config):
        print(line)  # noqa: T201 -- this is the command's output


def _channels(text: str) -> list[str]:
    """Parse targets. Raises InvalidBatchError, also for a platform that nobody serves: no error would follow."""
    try:
        targets = [parse_target(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidBatchError(f"channels: {error}") from None
    if any(target.provider not in installed() for target in targets):
        raise InvalidBatchError(f"channels: there are {', '.join(installed())}")
    return [str(target) for target in targets]


def _lines(published: Published, config: Config) -> Iterator[str]:
    yield f"batch {published.batch_id}"
    yield from (f"record {origin}" for origin in published.origins)
    if published.ignored:
        yield f"ignored {published.ignored} members of users that are not known"
    token = ' -H "Authorization: Bearer ${AUDIENCE_API_TOKENS%%,*}"' if config.server.tokens else ""
    place = f"http://{config.server.listen}/audience/batches/{published.batch_id}?wait=60"
    yield f"What becomes of it, where `audience serve` runs: curl -sS{token} '{place}'"
