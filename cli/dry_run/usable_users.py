"""What each account could use of users."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cli.dry_run.requests import made_up_provider
from cli.dry_run.verbs import Verb
from consumer.account.account import Account
from producer.request.users_json import parse_users
from providers.kit.errors import RejectError
from providers.kit.provider import AnyProvider
from providers.kit.rows.rejection_reasons import reason_of
from providers.kit.rows.users_to_rows import Rows
from schemas.records import AudienceUser


@dataclass(slots=True)
class Usable:
    """What one account could use of users; `error` is a word of the vocabulary where it takes none of it at all.

    `dropped` counts values that usable users would go out without, by `field: reason`.
    """

    users: int = 0
    usable: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    error: str | None = None


def usable_users(batches: Iterable[bytes], accounts: Sequence[Account], verb: Verb) -> Mapping[str, Usable]:
    """Return what each account could use of the users of some batches, each a JSON array."""
    providers = {str(one.target): made_up_provider(one) for one in accounts}
    found = {name: Usable() for name in providers}
    for batch in batches:
        users = parse_users(batch).users
        for name, provider in providers.items():
            _count(provider, verb, users, found[name])
    return found


def _count(provider: AnyProvider, verb: Verb, users: Sequence[AudienceUser], into: Usable) -> None:
    made = Rows()
    try:
        for grown in verb.rows(provider, enumerate(users)):
            made = grown
    except RejectError as error:
        into.error = error.code
    into.users += len(users)
    into.usable += len(made.rows)
    into.rejected.update(reason_of(rejection) for _, rejection in made.rejected)
    into.dropped += made.dropped
