"""`audience check`: say of each account whether it would be let in."""

from argparse import Namespace
from collections.abc import Iterable, Sequence

from cli.arguments import add_accounts_argument
from cli.check.findings import Finding, check
from cli.check.printing import finding_line
from cli.command import Command
from cli.errors import CommandError
from cli.printing.tables import print_lines
from cli.settings.config import Config, ConfigError, account, load
from cli.settings.environment import Environment
from schemas.target import Target


class CheckFailedError(CommandError):
    """An account can't be used."""


async def print_check(options: Namespace, environment: Environment) -> None:
    """Print what came of each account. Raises CheckFailedError."""
    config = load(environment)
    targets = list(dict.fromkeys(options.provider or config.targets))
    findings = await _findings(targets, environment, config)
    in_order = sorted(findings, key=lambda finding: targets.index(finding.target))
    print_lines(map(finding_line, in_order))
    bad = {finding.target for finding in findings if not finding.is_good}
    if bad:
        raise CheckFailedError(f"{len(bad)} of {len(targets)} accounts can't be used")


async def _findings(targets: Iterable[Target], environment: Environment, config: Config) -> Sequence[Finding]:
    """Ask for each account that has its settings, and return what is wrong with those of the others."""
    wrong, accounts = [], []
    for target in targets:
        try:
            accounts.append(account(target, environment, config.common))
        except ConfigError as error:
            wrong += [Finding(target=target, setting=line) for line in str(error).splitlines()]
    return await check(accounts) + wrong


COMMAND = Command(
    name="check",
    text=(
        "Ask each platform whether it lets us in. Makes the look-up call with the account's token, says in the words "
        "of `audience errors` what is wrong and what to do, and exits 1 if anything is. Creates nothing."
    ),
    run=print_check,
    add_arguments=add_accounts_argument,
)
