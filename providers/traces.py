"""The way of one user's values to each column of a row, step by step, for people to look at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from providers.base import AnyProvider, Rejection
from providers.columns import FIELDS, PURCHASE, Column
from providers.interpreter import fault_of, form_of_hash
from providers.normalise import as_hash, sha256_hex
from providers.rows import make_rows
from providers.settings import AccountSettings
from schemas.countries import alpha_2
from schemas.records import AudienceUser
from schemas.repairs.users import Repaired, repair


@dataclass(frozen=True, slots=True)
class Step:
    """What was done, and what came of it: None where nothing did."""

    says: str
    value: object


@dataclass(frozen=True, slots=True)
class Trace:
    """A column, what was uploaded for it, the steps, and the reason where it stays empty."""

    column: str
    field: str | None
    given: object
    steps: tuple[Step, ...]
    reason: str | None = None

    @property
    def is_filled(self) -> bool:
        """Whether the column has something to go out."""
        value = self.steps[-1].value if self.steps else self.given
        return self.reason is None and value not in (None, "", ())

    def left_out(self) -> "Trace":
        """Return the way of a value that goes nowhere, as what stands around it is not all there."""
        return replace(self, steps=(*self.steps, Step("left out, as what it belongs to is not whole", None)))


@dataclass(frozen=True, slots=True)
class Explained:
    """What becomes of one user at one account."""

    rejection: Rejection | None
    traces: tuple[Trace, ...]


def explained(provider: AnyProvider, user: AudienceUser) -> Explained:
    """Return how each column of a user's row comes about; without a template only whether there is a row."""
    repaired = repair(user)
    *_, made = make_rows(provider, [(0, user)])
    rejection = made.rejected[0][1] if made.rejected else None
    columns = provider.maker.columns if provider.is_declared() else ()
    traces = {column: _trace(provider, column, user, repaired) for column in columns}
    for whole in provider.template.wholes if provider.template and provider.is_declared() else ():
        mine = [column for column in whole if column in traces]
        if not all(traces[column].is_filled for column in mine):
            traces |= {column: traces[column].left_out() for column in mine if traces[column].is_filled}
    return Explained(rejection, tuple(traces.values()))


def _trace(provider: AnyProvider, column: Column, user: AudienceUser, repaired: Repaired) -> Trace:
    steps, value = list(_repairs(column, repaired)), _value(repaired.user, column.field)
    reason = dict(repaired.dropped).get(column.field or "")
    if column.value is not None:
        made = _computed(column.value, repaired.user, provider.settings)
        reason = made.reason if isinstance(made, Rejection) else reason
        steps.append(Step(column.says or "", None if isinstance(made, Rejection) else made))
    elif column.is_text and isinstance(value, str) and value.strip():
        country = alpha_2(repaired.user.country) if repaired.user.country else None
        steps += _text_steps(provider, column, value, country)
        reason = fault_of(column, provider.settings)(value, country)
    return Trace(column.name, column.field, _value(user, column.field), tuple(steps), reason)


def _computed(value: Callable[[AudienceUser, Any], object], user: AudienceUser, settings: AccountSettings) -> object:
    try:
        return value(user, settings)
    except Exception:  # rows count it in the same word
        return Rejection(None, "bug")


def _value(user: AudienceUser, field: str | None) -> object:
    if field is None:
        return None
    if field in FIELDS:
        return attrgetter(FIELDS[field])(user)
    return None if user.purchase is None else attrgetter(PURCHASE[field])(user.purchase)


def _repairs(column: Column, repaired: Repaired) -> Iterator[Step]:
    """Yield what was repaired before any rule, or that the value was dropped."""
    kinds = [kind.partition(": ")[2] for kind in repaired.repaired if kind.startswith(f"{column.field}: ")]
    if kinds:
        yield Step(f"repaired ({', '.join(kinds)})", _value(repaired.user, column.field))
    if column.field in dict(repaired.dropped):
        yield Step("dropped", None)


def _text_steps(provider: AnyProvider, column: Column, text: str, country: str | None) -> Iterator[Step]:
    if column.hashed != "text" and (digest := as_hash(text)):
        is_kept = column.hashed == "kept"
        yield Step(f"a SHA-256 already, {column.hashed}", form_of_hash(digest, column.form) if is_kept else None)
        return
    left: str | None = text
    for rule in column.rules:
        if left and (rule.when is None or rule.when.holds(provider.settings)):
            left = rule.make(provider.settings)(left, country)
            yield Step(rule.says, left)
    if left and column.form != "plain":
        yield Step(FORMS[column.form], form_of_hash(sha256_hex(left), column.form))


FORMS = {"plain": "plain", "sha256": "SHA-256", "sha256_base64": "SHA-256 in base64"}
"""What goes out, as people read it."""
