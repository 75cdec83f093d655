"""Ask a platform whether an account is let in."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from consumer.account.account import Account
from providers.installed import open_account, open_session, rates_of
from providers.kit.errors import PlatformError
from providers.kit.rate_limiter import Pace
from schemas.target import Target
from schemas.tracebacks import place_of

NAME = "audience check"
"""Name that is looked for; nothing is created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of one account's check: it is good where none of the first three says otherwise."""

    target: Target
    error: PlatformError | None = None
    bug: str | None = None
    """Where our own code failed."""
    setting: str | None = None
    """What is wrong with its settings, by variable."""
    is_asked: bool = True
    """Whether there is anything that could be asked without sending users."""
    warnings: Sequence[str] = ()
    """Words of the vocabulary."""

    @property
    def is_good(self) -> bool:
        """Whether the account can be used."""
        return self.error is None and self.bug is None and self.setting is None


async def check(accounts: Sequence[Account]) -> list[Finding]:
    """Make the look-up call of each account, once and at the same time."""
    return list(await asyncio.gather(*map(_check, accounts)))


async def _check(account: Account) -> Finding:
    if "find" not in account.kind.rates:
        return Finding(target=account.target, is_asked=False)
    warnings: list[str] = []
    async with open_session(account.settings) as session:
        pace = Pace(rates_of(account.kind, account.settings))
        provider = open_account(account.kind, account.settings, session, pace, warn=warnings.append)
        try:
            await provider.find_audience(provider.platform_name(NAME, disable_prefix=False))
        except PlatformError as error:
            return Finding(target=account.target, error=error)
        except Exception as error:
            return Finding(target=account.target, bug=place_of(error))
    return Finding(target=account.target, warnings=warnings)
