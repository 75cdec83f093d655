"""`audience preview`: print what an upload would become, without sending any."""

import argparse
import asyncio
import sys
from uuid import UUID

from cli.arguments import add_accounts_argument, count
from cli.command import Command
from cli.dry_run.requests import preview
from cli.dry_run.verbs import VERBS
from cli.preview.explanation import explain
from cli.settings.config import SANDBOXED, account, load
from cli.settings.environment import Environment
from cli.users_file import add_audience_arguments, read_users
from producer.request.users_json import PayloadError, Users, parse_users
from schemas.records import AudienceBatch
from schemas.validity import invalidity, trimmed


def _index(text: str) -> int:
    try:
        return count(text)
    except argparse.ArgumentTypeError:
        wanted = "write the number of the user behind it, the first is 0, or nothing; USERS.json comes before it"
        raise argparse.ArgumentTypeError(wanted) from None


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_audience_arguments(parser)
    add_accounts_argument(parser)
    parser.add_argument(
        "--mode", choices=list(VERBS), default="add", help="what becomes of the users: add, the default, or remove"
    )
    parser.add_argument(
        "--explain",
        nargs="?",
        const=0,
        type=_index,
        metavar="INDEX",
        help="explain the row of this user, the first is 0, which is the default; put it last",
    )


async def print_preview(options: argparse.Namespace, environment: Environment) -> None:
    """Print the requests, or how one user's row comes about. Raises PayloadError, ConfigError."""
    config = load(environment)
    targets = options.provider or config.common.providers or SANDBOXED
    accounts = [account(target, environment, config.common, made_up=True) for target in dict.fromkeys(targets)]
    parsed = parse_users(await asyncio.to_thread(read_users, options.users))
    if len(parsed.users) > config.server.max_users:
        raise PayloadError(f"users: expected at most {config.server.max_users}")
    batch = _batch(options, parsed)
    if options.explain is not None:
        sys.stdout.writelines(explain(accounts, batch.users, options.explain, VERBS[options.mode]))
        return
    await preview(batch, accounts, sys.stdout.buffer.write, parsed.unknown, VERBS[options.mode])
    sys.stdout.flush()


def _batch(options: argparse.Namespace, parsed: Users) -> AudienceBatch:
    batch = AudienceBatch(
        batch_id=str(UUID(int=0)),
        name=trimmed(options.name),
        type=options.type,
        disable_prefix=options.disable_prefix,
        users=parsed.users,
    )
    if fault := invalidity(batch):
        raise PayloadError(fault)
    return batch


COMMAND = Command(
    name="preview",
    text=(
        "Show the requests that an upload would become, or with --mode remove a removal. Prints one JSON object for "
        "each, secrets hidden, and a last one that sums up who is usable and who is not, and why. Sends nothing; needs "
        "no credentials, no Kafka and no network. Without --provider and AUDIENCE_PROVIDERS it shows facebook, tiktok "
        "and klaviyo. With --explain it shows instead how each column of one user's row comes about, step by step, "
        "values masked."
    ),
    run=print_preview,
    add_arguments=_add_arguments,
)
