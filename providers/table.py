"""The providers there are, and how an account of one is put together."""

import asyncio
from collections.abc import Mapping

import aiohttp

from providers.base import AnyProvider
from providers.facebook import Facebook
from providers.http import HttpTransport
from providers.klaviyo import Klaviyo
from providers.pace import Pace
from providers.settings import AccountSettings
from providers.tiktok import TikTok

PROVIDERS: Mapping[str, type[AnyProvider]] = {kind.name: kind for kind in (Facebook, TikTok, Klaviyo)}


def pace_of(kind: type[AnyProvider], settings: AccountSettings) -> Pace:
    """Return the pace of an account: as the platform documents it, unless the settings say otherwise."""
    if settings.pace is None:
        return Pace(kind.rates)
    return Pace(dict.fromkeys(kind.rates, settings.pace))


def open_account(
    kind: type[AnyProvider], settings: AccountSettings, session: aiohttp.ClientSession, pace: Pace
) -> AnyProvider:
    """Return a provider that calls its platform over this session."""
    slots = asyncio.Semaphore(settings.slots)
    return kind(settings, HttpTransport(session, settings.base_url, slots=slots, pace=pace, timeout=settings.timeout))
