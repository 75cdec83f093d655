"""`audience upload --dry-run`: what each account could use of files, and the first requests, without sending any."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from rich.console import Console

from audience_client.command.threads import in_thread
from audience_client.upload.prepare import Prepared
from cli.dry_run.requests import preview
from cli.dry_run.usable_users import usable_users
from cli.dry_run.verbs import VERBS, Verb
from cli.errors import UsageError
from cli.printing.tables import print_lines
from cli.settings.config import SANDBOXED, account, load
from cli.settings.environment import Environment
from cli.upload.printing import print_usable
from consumer.account.account import Account
from producer.request.users_json import parse_users
from schemas.records import AudienceBatch
from schemas.validity import trimmed

SHOWN_USERS = 3
"""Users at the beginning of a file of which the requests are shown."""


AT_ONCE = 5_000
"""Users of which it is looked at at once what is usable."""


async def print_dry_run(prepared: Sequence[Prepared], *, options: argparse.Namespace, environment: Environment) -> None:
    """Print for each file what each account could use, and the first requests. Raises ConfigError, UsageError."""
    accounts = _accounts(options, environment)
    verb = VERBS[options.mode]
    for one in prepared:
        batches = (batch.users for batch in one.reader.batches(AT_ONCE))
        print_usable(await in_thread(partial(usable_users, batches, accounts, verb)), Console())
        print_lines(["", f"The requests for the first {SHOWN_USERS} users would be:"])
        await _print_requests(one, accounts, verb, options)
    print_lines(["Nothing was sent."], sys.stderr)


def _accounts(options: argparse.Namespace, environment: Environment) -> list[Account]:
    """Return the accounts that are named, else those that are configured, as far as `channels` means them."""
    common = load(environment).common
    targets = [
        target
        for target in dict.fromkeys(options.provider or common.providers or SANDBOXED)
        if target.is_meant_by(options.channels or None)
    ]
    if not targets:
        raise UsageError("--channels: no account here is meant; say which are by --provider, such as facebook")
    return [account(target, environment, common, made_up=True) for target in targets]


async def _print_requests(
    prepared: Prepared, accounts: Sequence[Account], verb: Verb, options: argparse.Namespace
) -> None:
    """Print a JSON object for each request, as `audience preview` does."""
    first = next(prepared.reader.batches(SHOWN_USERS))
    batch = AudienceBatch(
        batch_id=str(UUID(int=0)),
        name=trimmed(options.name),
        type=options.type,
        disable_prefix=options.disable_prefix,
        users=parse_users(first.users).users,
    )
    lines: list[bytes] = []
    await preview(batch, accounts, lines.append, verb=verb)
    print_lines(line.decode().rstrip("\n") for line in lines[:-1])  # the last one sums up
