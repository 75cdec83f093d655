"""`audience up`: the whole product on one machine."""

import os
from argparse import Namespace

from cli.command import Command
from cli.local_stack.running import Running, running
from cli.settings.environment import Environment
from cli.settings.running_ups import noted


async def up(options: Namespace, environment: Environment) -> None:
    """Run everything until cancelled; say on standard output where it is."""
    del options
    async with running(environment) as found:
        with noted(environment.data, os.environ):
            await _say(found)


async def _say(found: Running) -> None:
    """Say where everything is, and stay."""
    lines = [f"kafka {found.kafka.bootstrap_servers}"]
    lines += [f"sandbox http://{found.sandbox}"] if found.sandbox else []
    lines += [found.curl()]
    lines += [f"metrics http://{address}/metrics {name}" for name, address in found.metrics.items()]
    lines += [f"ready {found.url}"]
    for line in lines:
        print(line, flush=True)  # noqa: T201 -- this is the command's output
    await found.supervisor.failure()


COMMAND = Command(
    name="up",
    text=(
        "Run everything on this machine until Ctrl-C. Kafka unless KAFKA_BOOTSTRAP_SERVERS is set, ingestion, one "
        "consumer for each account, and the sandbox unless AUDIENCE_PROVIDERS names real accounts. A platform "
        "whose <NAME>_BASE_URL is set is called there instead of in the sandbox."
    ),
    run=up,
    is_service=True,
)
