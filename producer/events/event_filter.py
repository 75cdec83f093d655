"""Which events a listener asks for, and what is wrong with how it asks."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from msgspec import Struct

from ledger.view import RecordRow
from producer.events.resources import Kind
from producer.request.client_names import MODES, shown
from producer.request.numbers import session_id_text
from schemas.did_you_mean import did_you_mean
from schemas.records import AudienceType
from schemas.target import Target

KINDS: Sequence[Kind] = get_args(Kind)

_OF_SESSION = frozenset({"session", "name", "type", "mode", "account"})

FIELDS: Mapping[Kind, frozenset[str]] = {
    "session": _OF_SESSION,
    "batch": _OF_SESSION | {"batch"},
    "account": frozenset({"account"}),
    "loss": frozenset({"account"}),
    "change": frozenset(),
}
"""By which filters a kind of event can be chosen."""

TELLING = frozenset(KINDS) - {"change"}
"""Kinds that come without being asked for by name: they tell how a thing stands, and with it that it changed."""

Key = tuple[Literal["session", "batch", "name", "any"], str]
"""What a filter and the changes that it may let through have in common."""

ANY: Key = ("any", "")

NAMES = ("kind", "session", "batch", "name", "type", "mode", "account")


class EventFilter(Struct, frozen=True, kw_only=True):
    """Which events are asked for; None is any."""

    kinds: frozenset[Kind]
    session: str | None = None
    batch: str | None = None
    name: str | None = None
    type: str | None = None
    mode: str | None = None
    account: Target | None = None

    @property
    def key(self) -> Key:
        """The narrowest of what it names that many may name each for themselves."""
        if self.session is not None:
            return "session", self.session
        if self.batch is not None:
            return "batch", self.batch
        return ANY if self.name is None else ("name", self.name)

    @property
    def asks_for_batches(self) -> bool:
        """Tell whether changes of batches matter to it."""
        return not self.kinds.isdisjoint(("session", "batch"))

    @property
    def asks_for_accounts(self) -> bool:
        """Tell whether it matters how accounts stand."""
        return not self.kinds.isdisjoint(("account", "change"))

    def has(self, record: RecordRow) -> bool:
        """Tell whether a batch is asked for, by one of its records."""
        wanted = (
            (self.session, record.session_id),
            (self.batch, record.batch_id),
            (self.name, record.name),
            (self.type, record.type),
            (self.mode, record.mode),
        )
        is_meant = self.account is None or self.account.is_meant_by(record.channels)
        return is_meant and all(chosen in (None, found) for chosen, found in wanted)

    def has_account(self, name: str) -> bool:
        """Tell whether an account is asked for."""
        return self.account is None or str(self.account) == name


def read_filter(query: Sequence[tuple[str, str]], targets: Iterable[Target]) -> tuple[EventFilter | None, list[str]]:
    """Return what a query's pairs of names and values ask for, None where that can't be, and all that is wrong."""
    accounts = {str(target): target for target in targets}
    given = dict(query)
    allowed = {"type": get_args(AudienceType), "mode": MODES, "account": tuple(accounts)}
    faults = [*_unknown(given), *_unclear(query), *_not_allowed(given, allowed)]
    kinds = frozenset(_kinds(given, faults))
    if faults:
        return None, faults
    session, batch, account = given.get("session"), given.get("batch"), given.get("account")
    chosen = EventFilter(
        kinds=kinds,
        session=None if session is None else session_id_text(session),
        batch=batch and batch.lower(),
        name=given.get("name"),
        type=given.get("type"),
        mode=given.get("mode"),
        account=None if account is None else accounts[account],
    )
    return chosen, []


def _unknown(given: Mapping[str, str]) -> list[str]:
    unknown = [name for name in given if name not in NAMES]
    known = f"there are {', '.join(NAMES)}"
    return [
        f"{shown(name) or 'query'}: there is no such filter{did_you_mean([name], NAMES)}; {known}" for name in unknown
    ]


def _unclear(query: Sequence[tuple[str, str]]) -> list[str]:
    sent = Counter(name for name, _ in query)
    repeated = [f"{name}: send it once" for name in NAMES if sent[name] > 1]
    return repeated + [f"{name}: send a value, or leave it out" for name in NAMES if (name, "") in query]


def _not_allowed(given: Mapping[str, str], allowed: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        f"{name}: send one of {', '.join(values)}"
        for name, values in allowed.items()
        if given.get(name) and given[name] not in values
    ]


def _kinds(given: Mapping[str, str], faults: list[str]) -> Iterable[Kind]:
    """Return the kinds that are asked for, else those that have all of the filters' fields."""
    filters = [name for name in NAMES[1:] if name in given]
    if not given.get("kind"):
        return [kind for kind in KINDS if kind in TELLING and FIELDS[kind].issuperset(filters)]
    named = given["kind"].split(",")
    found = [kind for kind in KINDS if kind in named]
    if len(found) != len(named):
        faults.append(f"kind: send one or more of {', '.join(KINDS)}, each once and with commas between")
    for kind in found:
        faults += [
            f"{name}: events of kind {kind} have none; leave one of both out"
            for name in filters
            if name not in FIELDS[kind]
        ]
    return found
