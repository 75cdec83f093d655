"""That no two accounts are one account of a platform: each would undo what the other has done."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from cli.settings.config import CommonSettings, ConfigError, account
from cli.settings.environment import PROVIDERS, Environment
from consumer.account.account import Account, owner_of
from providers.kit.http import Answer, Request
from providers.kit.provider import AnyProvider
from schemas.target import Target
from streams.tables.audience_owner import Owner


class _Nowhere:
    """Carries nothing: an account says who it is without a call."""

    async def send(self, request: Request) -> Answer:
        """Fail."""
        raise NotImplementedError(request.operation)


def check_distinct(environment: Environment, also: Iterable[Target] = ()) -> None:
    """Raise ConfigError where two of the configured accounts are one of a platform's.

    Whose settings are not here, or are wrong, is for the commands that need them to tell.
    """
    by_owner: defaultdict[Owner, list[Target]] = defaultdict(list)
    for found in _accounts(environment, also):
        by_owner[owner_of(found, _opened(found))].append(found.target)
    twice = [", ".join(map(str, targets)) for targets in by_owner.values() if len(targets) > 1]
    if twice:
        raise ConfigError(
            "\n".join(
                f"{PROVIDERS}: {one} are one account of the platform; leave all but one of them out, as each would "
                "undo what another has done there"
                for one in twice
            )
        )


def _accounts(environment: Environment, also: Iterable[Target]) -> Iterator[Account]:
    try:
        common = CommonSettings.model_validate(environment.values)
    except ValueError:
        return
    for target in dict.fromkeys((*common.providers, *also)):
        try:
            yield account(target, environment, common)
        except ConfigError:
            continue


def _opened(found: Account) -> AnyProvider:
    return found.kind(found.settings, _Nowhere())
