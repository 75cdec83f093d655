"""`audience consume`: one account of a platform, or the ledger."""

from argparse import ArgumentParser, Namespace
from contextlib import AbstractAsyncContextManager

import structlog

from cli.arguments import provider
from cli.command import Command
from cli.consume.garbage_collection import collected_when_calm
from cli.settings.config import Config, account, load
from cli.settings.environment import Environment
from cli.topics import prepare_topics
from consumer.account.service import consume, health_of
from ledger.receipts import keep_receipts
from providers.installed import installed
from providers.kit.proxies import shown
from schemas.metrics.registry import Metrics
from schemas.target import Target
from streams.cluster.readiness import Unready

log = structlog.get_logger()


def _add_arguments(parser: ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--provider",
        type=provider,
        metavar="PROVIDER[/ACCOUNT]",
        help=f"the account to serve, such as facebook or facebook/eu; there are {', '.join(installed())}",
    )
    what.add_argument("--ledger", action="store_true", help="write the receipts that status and replay go by")


async def consume_or_keep_ledger(options: Namespace, environment: Environment) -> None:
    """Serve an account, or keep the ledger, until cancelled."""
    config = load(environment)
    if options.ledger:
        await _keep_ledger(config)
    else:
        await _consume(options.provider, environment, config)


async def _consume(target: Target, environment: Environment, config: Config) -> None:
    served = account(target, environment, config.common)
    kafka = config.kafka
    await prepare_topics(config, [served.target])
    if proxy := served.settings.used_proxy:
        log.info("Calls go through a proxy.", target=str(served.target), proxy=shown(proxy))
    log.info("Consuming.", target=str(served.target), base_url=served.settings.base_url)
    await consume(served, config.consumer, kafka, config.names, config.framing, around=collected_when_calm)


async def _keep_ledger(config: Config) -> None:
    await prepare_topics(config, ())
    log.info("Keeping the ledger.")
    metrics = Metrics()

    def is_open(unready: Unready) -> AbstractAsyncContextManager[None]:
        return health_of(config.consumer, unready, metrics)

    await keep_receipts(config.kafka, config.names, config.framing, is_open, metrics)


COMMAND = Command(
    name="consume",
    text=(
        "Serve one account of a platform, or keep the ledger. Reads the topic as a consumer group of its own and sends "
        "users to the platform, by the account's credentials, such as FACEBOOK_ACCESS_TOKEN and "
        "FACEBOOK_AD_ACCOUNT_ID; with --ledger it writes a receipt for each record, which status and replay go by."
    ),
    run=consume_or_keep_ledger,
    add_arguments=_add_arguments,
    is_service=True,
)
