"""What a command says of its settings before anything else: what is ignored, once, by name and never by value."""

import argparse
import sys
from collections.abc import Collection, Mapping

import structlog

from cli.settings.distinct_accounts import check_distinct
from cli.settings.environment import DATA, PROVIDERS, Environment, read_environment
from cli.settings.unknown_settings import check_names, unknown_settings, unused_credentials
from schemas.target import Target
from streams.processes import lifeline

log = structlog.get_logger()

WITHOUT_SETTINGS = frozenset({"demo", "errors", "platforms", "schema"})
"""Commands that no `.env` and no setting of an account reaches, so that nothing wrong with them matters."""

FOR_ACCOUNTS = frozenset({"serve", "up", "check", "config"})
"""Commands for the configured accounts, so that one that is left out is worth a line."""

SERVING = frozenset({"serve", "up", "consume", "replay"})
"""Commands by which people come and go, so that two accounts must not be one of a platform's."""

ASKING = frozenset({"status", "watch", "rejected", "dead-letters", "replay", "publish", "upload"})
"""Commands that are about something that runs, wherever on this machine it was started."""


def checked_environment(options: argparse.Namespace, process: Mapping[str, str]) -> Environment:
    """Return the settings of a command; what of them is ignored is told. Raises EnvFileError, MisnamedSettingError,
    SeveralUpsError, ConfigError.

    A part of ours says nothing, as what started it has.
    """
    if options.command in WITHOUT_SETTINGS:
        return Environment({}, {})
    environment = read_environment(process, anywhere=options.command in ASKING and not _names_server(options, process))
    if environment.origins.get(DATA) == "audience up":
        sys.stderr.write(
            f"This is about the `audience up` with {DATA}={environment.data}; set that to choose another.\n"
        )
    if not lifeline.is_watched(process):
        _warn_of_unknown(environment)
        if options.command in FOR_ACCOUNTS:
            _warn_of_unused(environment, getattr(options, "provider", None) or ())
    if options.command in SERVING:
        chosen = getattr(options, "provider", None)
        check_distinct(environment, [chosen] if isinstance(chosen, Target) else ())
    return environment


def _names_server(options: argparse.Namespace, process: Mapping[str, str]) -> bool:
    """Tell whether an upload is for a server of its own, wherever that is."""
    return options.command == "upload" and bool(options.url or process.get("AUDIENCE_URL"))


def _warn_of_unknown(environment: Environment) -> None:
    unknown = list(unknown_settings(environment))
    check_names(environment, unknown)
    for found in unknown:
        hint = {"nearest": found.nearest} if found.nearest else {}
        log.warning("This is no setting and is ignored.", variable=found.variable, origin=found.origin, **hint)


def _warn_of_unused(environment: Environment, chosen: Collection[Target]) -> None:
    unused = unused_credentials(environment, chosen)
    if not unused:
        return
    accounts = ",".join(map(str, unused))
    variables = [name for names in unused.values() for name in names]
    if PROVIDERS in environment.values:
        log.warning(
            "Credentials are not used: AUDIENCE_PROVIDERS lacks their account.", lacks=accounts, names=variables
        )
    else:
        text = "Credentials are not used: without AUDIENCE_PROVIDERS nobody is sent to an account, only to the sandbox."
        log.warning(text, names=variables, remedy=f"AUDIENCE_PROVIDERS={accounts}")
