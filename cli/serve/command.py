"""`audience serve`: the HTTP endpoint."""

import asyncio
import importlib.util
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from cli.command import Command
from cli.settings.config import Config, load
from cli.settings.environment import Environment
from cli.topics import prepare_topics
from console.console import console
from console.upload.files import Files
from producer.server import serving
from producer.settings import Address
from streams.processes.announcement import announce

log = structlog.get_logger()


async def serve(options: Namespace, environment: Environment) -> None:
    """Listen until cancelled."""
    del options
    config = load(environment)
    await prepare_topics(config, config.targets)
    can_hash = config.consumer.keys is not None
    with _view_file(environment, config.server.listen) as view:
        async with serving(
            config.server,
            config.kafka,
            config.targets,
            config.names,
            config.framing,
            view,
            can_hash=can_hash,
            add=partial(console, files=_files(config, environment)),
        ) as server:
            log.info("Listening.", address=str(server.address), targets=[str(target) for target in config.targets])
            announce(str(server.address))
            await asyncio.gather(*server.following)


def _files(config: Config, environment: Environment) -> Files | None:
    """Return who reads files that are uploaded from the console; nobody, where the client is not installed."""
    if importlib.util.find_spec("audience_client") is None:
        return None
    from cli.serve.uploaded_files import UploadedFiles  # noqa: PLC0415 -- it needs the client

    return UploadedFiles(environment, config.server.max_users, config.targets)


@contextmanager
def _view_file(environment: Environment, listen: Address) -> Iterator[Path]:
    """Yield a file that only this process uses: any port's is a new one, which is gone with the process."""
    folder = environment.data / "view"
    if listen.port:
        yield folder / f"{listen.host}-{listen.port}.sqlite"
        return
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as own:
        yield Path(own) / "view.sqlite"


COMMAND = Command(
    name="serve",
    text=(
        "Run the HTTP endpoint. Listens on AUDIENCE_LISTEN and writes uploads to the topic that the accounts in "
        "AUDIENCE_PROVIDERS read. Needs a Kafka: KAFKA_BOOTSTRAP_SERVERS, or the one of a running `audience up`."
    ),
    run=serve,
    is_service=True,
)
