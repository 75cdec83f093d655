"""`audience upload --dry-run`: what each account could use of files, and the first requests, without sending any."""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from rich.console import Console

from audience_client.command.threads import in_thread
from audience_client.upload.prepare import Prepared
from cli.dry_run.requests import made_up_provider, preview
from cli.dry_run.verbs import VERBS, Verb
from cli.errors import UsageError
from cli.printing.tables import print_lines, print_rows
from cli.settings.config import SANDBOXED, account, load
from cli.settings.environment import Environment
from consumer.account.runtime import Account
from producer.request.users_json import parse_users
from providers.kit.errors import RejectError
from providers.kit.provider import AnyProvider
from providers.kit.rows.rejection_reasons import reason_of
from providers.kit.rows.row_groups import Rows
from schemas.error_words import VOCABULARY
from schemas.records import AudienceBatch, AudienceUser
from schemas.validity import trimmed

SHOWN_USERS = 3
"""Users at the beginning of a file of which the requests are shown."""

AT_ONCE = 5_000
MOST_REASONS = 10
COLUMNS = ("account", "users", "usable", "rejected")


@dataclass(slots=True)
class Usable:
    """What one account could use of a file; `error` is a word of the vocabulary where it takes none of it at all."""

    users: int = 0
    usable: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    error: str | None = None


async def print_dry_run(prepared: Sequence[Prepared], *, options: argparse.Namespace, environment: Environment) -> None:
    """Print for each file what each account could use, and the first requests. Raises ConfigError, UsageError."""
    accounts = _accounts(options, environment)
    verb = VERBS[options.mode]
    for one in prepared:
        _print_usable(await in_thread(partial(_usable, one, accounts, verb)))
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


def _usable(prepared: Prepared, accounts: Sequence[Account], verb: Verb) -> Mapping[str, Usable]:
    """Return what each account could use of all rows of a file."""
    providers = {str(one.target): made_up_provider(one) for one in accounts}
    found = {name: Usable() for name in providers}
    for batch in prepared.reader.batches(AT_ONCE):
        users = parse_users(batch.users).users
        for name, provider in providers.items():
            _count(provider, verb, users, found[name])
    return found


def _count(provider: AnyProvider, verb: Verb, users: Sequence[AudienceUser], into: Usable) -> None:
    made = Rows()
    try:
        for grown in verb.rows(provider, enumerate(users)):
            made = grown
    except RejectError as error:
        into.error = error.code
    into.users += len(users)
    into.usable += len(made.rows)
    into.rejected.update(reason_of(rejection) for _, rejection in made.rejected)


def _print_usable(found: Mapping[str, Usable]) -> None:
    rows = [[name, f"{one.users:,}", f"{one.usable:,}", f"{one.users - one.usable:,}"] for name, one in found.items()]
    print_rows(COLUMNS, rows, Console())
    for name, one in found.items():
        if one.error:
            print_lines([f"{name}: {one.error}: {VOCABULARY[one.error].meaning}"])
        if one.rejected:
            listed = ", ".join(f"{reason} ({count:,})" for reason, count in one.rejected.most_common(MOST_REASONS))
            print_lines([f"{name}: rejected {listed}"])


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
