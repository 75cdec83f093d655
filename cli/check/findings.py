"""Ask a platform whether an account is let in."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from consumer.account.runtime import Account
from providers.installed import open_account, open_session, rates_of
from providers.kit.errors import PlatformError, platform_error
from providers.kit.rate_limiter import Pace
from schemas.error_words import VOCABULARY
from schemas.target import Target
from schemas.tracebacks import place_of

NAME = "audience check"
"""Name that is looked for; nothing is created."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one account's check, a sentence."""

    target: Target
    is_good: bool
    text: str


async def check(accounts: Sequence[Account]) -> list[Finding]:
    """Make the look-up call of each account, once and at the same time."""
    return list(await asyncio.gather(*map(_check, accounts)))


async def _check(account: Account) -> Finding:
    if "find" not in account.kind.rates:
        return Finding(account.target, True, "has nothing that could be asked without sending users")
    warned: list[str] = []
    async with open_session(account.settings) as session:
        pace = Pace(rates_of(account.kind, account.settings))
        provider = open_account(account.kind, account.settings, session, pace, warn=warned.append)
        try:
            await provider.find_audience(provider.platform_name(NAME, disable_prefix=False))
        except PlatformError as error:
            return Finding(account.target, False, described(error))
        except Exception as error:
            return Finding(account.target, False, f"bug: {VOCABULARY['bug'].meaning} ({place_of(error)})")
    warnings = [described(platform_error(word)) for word in warned]
    return Finding(account.target, True, "; ".join(["answers, and lets this token look up audiences", *warnings]))


def described(error: PlatformError) -> str:
    """Return an error in the vocabulary's words, with the platform's code and request id."""
    request = error.request_id and f"request {error.request_id}"
    facts = ", ".join(fact for fact in (error.platform_code, request) if fact)
    meaning = VOCABULARY[error.code]
    return f"{error.code}{f' ({facts})' if facts else ''}: {meaning.meaning} {meaning.remedy}"
