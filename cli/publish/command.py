"""`audience publish`: write a batch to the log, as a system of one's own would."""

import asyncio
from argparse import ArgumentParser, Namespace
from typing import get_args

from cli.arguments import session
from cli.command import Command
from cli.printing.tables import print_lines
from cli.publish.channels import check_known, parse_channels
from cli.publish.printing import published_lines
from cli.settings.config import Config, load
from cli.settings.environment import Environment
from cli.users_file import add_audience_arguments, read_users
from producer.publisher import AudiencePublisher, Published
from schemas.records import Mode


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
    print_lines(published_lines(published, str(config.server.listen), has_tokens=bool(config.server.tokens)))


async def _published(users: bytes, options: Namespace, config: Config) -> Published:
    channels = None if options.channels is None else parse_channels(options.channels)
    registry = config.common.registry
    url = registry.get_secret_value() if registry else None
    async with AudiencePublisher(config.kafka, prefix=config.common.prefix, registry=url) as publisher:
        if channels is not None and not options.any_channel:
            await check_known(channels, publisher, config.names.accounts)
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
