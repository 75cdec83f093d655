"""`audience sandbox`: stand-ins of the platforms."""

import asyncio
from argparse import Namespace

import structlog

import sandbox.app
from cli.command import Command
from cli.settings.config import load
from cli.settings.environment import Environment
from producer.settings import Address
from streams.processes.announcement import announce

log = structlog.get_logger()


async def serve_sandbox(options: Namespace, environment: Environment) -> None:
    """Listen until cancelled."""
    del options
    settings = load(environment).sandbox
    behaviour = sandbox.SandboxOptions(limits=settings.limits, latency=settings.latency)
    runner = await sandbox.app.serve(settings.listen.host, settings.listen.port, behaviour)
    try:
        host, port = runner.addresses[0][:2]
        address = str(Address(host=host, port=port))
        log.info("The sandbox listens.", address=address)
        announce(address)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


COMMAND = Command(
    name="sandbox",
    text=(
        "Run stand-ins of the platforms. They answer as Facebook, TikTok and Klaviyo do, hold members in memory, "
        "and fail on demand: see /_sandbox/members, /_sandbox/counters, /_sandbox/faults."
    ),
    run=serve_sandbox,
    is_service=True,
)
