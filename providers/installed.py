"""The providers that are installed, and how an account of one is put together."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points

import aiohttp

from providers.kit.http import HttpTransport, WatchedTransport
from providers.kit.private_addresses import PublicResolver
from providers.kit.provider import REAL, AnyProvider, Provider, Surroundings
from providers.kit.rate_limiter import Pace, Rate
from providers.kit.rows.columns import DeclarationError
from providers.kit.settings import AccountSettings
from schemas.tracebacks import place_of

GROUP = "audience.providers"
"""Entry points that are providers: ours stand in pyproject.toml, others come with their packages."""


class ProviderLoadError(Exception):
    """A provider that is installed can't be used."""


@cache
def installed() -> Mapping[str, type[AnyProvider]]:
    """Return every provider by its name, ours first. Raises ProviderLoadError, which names the package."""
    found: dict[str, type[AnyProvider]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: not point.value.startswith("providers.")):
        if point.name in found:
            raise ProviderLoadError(f"two installed packages have a provider {point.name}; uninstall one of them")
        found[point.name] = _load(point)
    return found


def _load(point: EntryPoint) -> type[AnyProvider]:
    package = point.dist.name if point.dist else point.value
    try:
        kind = point.load()
    except DeclarationError as error:
        raise ProviderLoadError(f"the provider {point.name} of {package}: {error}") from error
    except Exception as error:
        location = place_of(error)
        raise ProviderLoadError(f"the provider {point.name} of {package} fails on import: {location}") from error
    if not (isinstance(kind, type) and issubclass(kind, Provider) and kind.name == point.name):
        raise ProviderLoadError(f"{point.value} of {package} is no Provider with the name {point.name}")
    if not kind.makes_rows():
        raise ProviderLoadError(f"{point.value} of {package} makes no rows: give it a template, or row and identifiers")
    try:
        kind.check_declaration()
    except DeclarationError as error:
        raise ProviderLoadError(f"{point.value} of {package}: {error}") from error
    return kind


def rates_of(kind: type[AnyProvider], settings: AccountSettings) -> Mapping[str, Sequence[Rate]]:
    """Return the rates of an account's operations: as documented, unless the settings say otherwise."""
    return kind.rates if settings.pace is None else dict.fromkeys(kind.rates, settings.pace)


def open_session(settings: AccountSettings) -> aiohttp.ClientSession:
    """Return a session for one account's calls, to be closed by the caller.

    It reads nothing of the environment by itself, so that a `.netrc` is sent to nobody. A proxy that is set for an
    account resolves its host; then the proxy says which addresses may be called.
    """
    resolver = PublicResolver() if settings.is_confined and settings.used_proxy is None else None
    connector = aiohttp.TCPConnector(limit=0, resolver=resolver)
    return aiohttp.ClientSession(connector=connector, proxy=settings.used_proxy)


def _ignored(word: str) -> None:
    del word


def open_account(
    kind: type[AnyProvider],
    settings: AccountSettings,
    session: aiohttp.ClientSession,
    pace: Pace,
    around: Surroundings = REAL,
    warn: Callable[[str], None] = _ignored,
) -> AnyProvider:
    """Return a provider that calls its platform over this session.

    `warn` is called once for each thing that answers warn of, with its word of the vocabulary.
    """
    transport = HttpTransport(
        session,
        settings.base_url,
        slots=asyncio.Semaphore(settings.slots),
        pace=pace,
        timeout=settings.timeout,
        pause_after=kind.pause_after,
    )
    return kind(settings, WatchedTransport(transport, kind.warning_in, warn), around)
