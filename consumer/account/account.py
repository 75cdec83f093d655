"""An account that is served, and whose audiences it has."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from providers.kit.provider import AnyProvider
from providers.kit.settings import AccountSettings
from schemas.target import Target
from streams.tables.audience_owner import Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A target, the provider that serves it, and its settings."""

    target: Target
    kind: type[AnyProvider]
    settings: AccountSettings


def owner_of(account: Account, provider: AnyProvider) -> Owner:
    """Return whose audiences they are; of the base URL host, port and path, without credentials."""
    parts = urlsplit(account.settings.base_url)
    port = f":{parts.port}" if parts.port else ""
    host = f"{parts.hostname}{port}{parts.path.rstrip('/')}"
    return Owner(provider=provider.name, host=host, platform_account_id=provider.account_id)
