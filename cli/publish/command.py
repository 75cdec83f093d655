"""`audience publish`: write a batch to the log, as a system of one's own would."""

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import get_args

from cli.arguments import session
from cli.command import Command
from cli.settings.config import Config, load
from cli.settings.environment import Environment
from cli.users_file import add_audience_arguments, read_users
from producer.publisher import AudiencePublisher, InvalidBatchError, NothingWrittenError, Published
from providers.installed import installed
from schemas.did_you_mean import did_you_mean
from schemas.records import Mode
from schemas.target import parse_target


def _add_arguments(parser: ArgumentParser) -> None:
    add_audience_arguments(parser)
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="add",
        help="remove: take these users out of the audience, wherever they are in it; default: add",
    )
    parser.add_argument("--channels", metavar="TARGETS", help="targets such as facebook,tiktok/eu; default: all")
    parser.add_argument(
        "--any-channel", action="store_true", help="publish for targets that no account is known of, too"
    )
    parser.add_argument("--session", type=session, metavar="ID", help="the upload session that the batch belongs to")
    parser.add_argument("--sequence", type=int, metavar="N", help="place of the batch in its session, from 0 or 1")
    parser.add_argument("--total-batches", type=int, metavar="N", help="batches in the session")
    parser.add_argument("--total-users", type=int, metavar="N", help="users in the session")
    parser.add_argument("--pull-date", metavar="YYYY-MM-DD", help="day on which the list was drawn")
    parser.add_argument("--batch-id", metavar="UUID", help="id of the batch, to publish the same again; default: new")


async def publish(options: Namespace, environment: Environment) -> None:
    """Publish a JSON array of users; print where the records stand. Raises PublishError, ConfigError (no Kafka)."""
    config = load(environment)
    published = await _published(await asyncio.to_thread(read_users, options.users), options, config)
    for line in _lines(published, config):
        print(line)  # noqa: T201 -- this is the command's output


async def _published(users: bytes, options: Namespace, config: Config) -> Published:
    channels = None if options.channels is None else _channels(options.channels)
    registry = config.common.registry
    url = registry.get_secret_value() if registry else None
    async with AudiencePublisher(config.kafka, prefix=config.common.prefix, registry=url) as publisher:
        if channels is not None and not options.any_channel:
            await _check_known(channels, publisher, config.names.accounts)
        return await publisher.publish(
            users,
            name=options.name,
            type=options.type,
            mode=options.mode,
            disable_prefix=options.disable_prefix,
            channels=channels,
            session_id=options.session,
            sequence=options.sequence,
            total_batches=options.total_batches,
            total_users=options.total_users,
            pull_date=options.pull_date,
            batch_id=options.batch_id,
        )


def _channels(text: str) -> list[str]:
    """Parse targets. Raises InvalidBatchError."""
    try:
        return [str(parse_target(part)) for part in text.split(",")]
    except ValueError as error:
        raise InvalidBatchError(f"channels: {error}") from None


async def _check_known(channels: Sequence[str], publisher: AudiencePublisher, topic: str) -> None:
    """Raise InvalidBatchError for a target that no known account has: nobody would get the batch, without an error."""
    try:
        known, why = await publisher.accounts(), ""
    except NothingWrittenError as error:
        known, why = [], str(error)
    names = list(dict.fromkeys(name for account in known for name in (parse_target(account).provider, account)))
    unknown = [channel for channel in channels if channel not in names]
    if unknown:
        raise InvalidBatchError(f"channels: {_instead(unknown, names) or why or _none(topic)}; {_ANYWAY}")


_ANYWAY = "--any-channel publishes for any"


def _instead(unknown: Sequence[str], known: Sequence[str]) -> str | None:
    """Return which targets there are, None where nobody knows."""
    if known:
        return f"there are accounts for {', '.join(known)}{did_you_mean(unknown, known)}"
    is_strange = any(parse_target(channel).provider not in installed() for channel in unknown)
    return f"there are {', '.join(installed())}{did_you_mean(unknown, installed())}" if is_strange else None


def _none(topic: str) -> str:
    return f"no account is registered on {topic} yet, which `audience serve` and `audience consume` do at their start"


def _lines(published: Published, config: Config) -> Iterator[str]:
    yield f"batch {published.batch_id}"
    yield from (f"record {origin}" for origin in published.origins)
    if published.ignored:
        unknown = "; ".join(str(one) for one in published.unknown)
        yield f"ignored {published.ignored} members of users that are not known ({unknown})"
    token = ' -H "Authorization: Bearer ${AUDIENCE_API_TOKENS%%,*}"' if config.server.tokens else ""
    place = f"http://{config.server.listen}/audience/batches/{published.batch_id}?wait=60"
    yield f"What becomes of it, where `audience serve` runs: curl -sS{token} '{place}'"


COMMAND = Command(
    name="publish",
    text=(
        "Write users to the topic without the endpoint. Prints the batch id and where each record stands, once all "
        "in-sync replicas have them. Needs a Kafka: KAFKA_BOOTSTRAP_SERVERS, or the one of a running `audience up`; "
        "no account and no server. The same file with the same --batch-id may be published again."
    ),
    run=publish,
    add_arguments=_add_arguments,
)
