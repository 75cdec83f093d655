"""How a room above adds paths to the server: it is handed what the server has opened, and judges its own requests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from ledger.queries import Queries
from ledger.view_updater import Following
from producer.accounts import Accounts
from producer.settings import ServerSettings
from producer.upload.handler import Uploads
from streams.tables.account_states import States


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the server has opened, for who builds on it."""

    settings: ServerSettings
    following: Following
    queries: Queries
    accounts: Accounts
    states: States
    uploads: Uploads


def _leaves_all(request: web.Request) -> bool:
    del request
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """Paths that are added to those of the server."""

    routes: Sequence[web.RouteDef] = ()
    admits: Callable[[web.Request], bool] = _leaves_all
    """Whether it lets a request in itself. False leaves that to the server's own rule; raises Refused."""


Add = Callable[[Opened], Addition]


def nothing_added(opened: Opened) -> Addition:
    """Add nothing."""
    del opened
    return Addition()
