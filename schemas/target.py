"""A target: one account of one provider, written `facebook` or `facebook/eu`."""

import re
from collections.abc import Iterable

from msgspec import Struct

from schemas.bounds import MAX_CHANNEL

_PROVIDER = re.compile(r"[a-z][a-z0-9]*")
_ACCOUNT = re.compile(r"[a-z0-9-]+")
_RESERVED_ACCOUNTS = frozenset({"retry", "replay"})


class Target(Struct, frozen=True, order=True):
    """One account of one provider; `account` is empty for the default account."""

    provider: str
    account: str = ""

    def __str__(self) -> str:
        return f"{self.provider}/{self.account}" if self.account else self.provider

    def group_id(self, prefix: str) -> str:
        """Return the id of the consumer group that serves this account."""
        return ".".join(part for part in (prefix, self.provider, self.account) if part)

    def is_meant_by(self, channels: Iterable[str] | None) -> bool:
        """Tell whether a batch for these channels is for this account; a bare provider means all its accounts."""
        return channels is None or any(channel in (self.provider, str(self)) for channel in channels)


def parse_target(text: str) -> Target:
    """Parse `provider` or `provider/account`.

    Raises ValueError, which says what an account may be called.
    """
    provider, slash, account = text.strip().partition("/")
    if len(text.strip()) > MAX_CHANNEL:
        raise ValueError(f"write a target of at most {MAX_CHANNEL} characters, as channels name it")
    if not _PROVIDER.fullmatch(provider):
        raise ValueError("write a target as provider or provider/account, such as facebook or facebook/eu")
    if slash and not _ACCOUNT.fullmatch(account):
        raise ValueError(f"name an account of {provider} with lower-case letters, digits and hyphens")
    if account in _RESERVED_ACCOUNTS:
        raise ValueError(f"choose another account name than {account}: it is part of group names")
    return Target(provider, account)
