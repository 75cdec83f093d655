"""How each column of one user's row comes about, step by step, for people to read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter

from providers.kit.provider import AnyProvider, Rejection
from providers.kit.rows.columns import FIELDS, PURCHASE, Column
from providers.kit.rows.normalisers import sha256_hex
from providers.kit.rows.row_json import NOTHING
from providers.kit.rows.rule_chain import fault_of, form_of_hash, hash_in, walk
from providers.kit.rows.template_interpreter import RowMaker
from providers.kit.rows.users_to_rows import Rows, make_removal_rows, make_rows
from schemas.countries import alpha_2
from schemas.records import AudienceUser
from schemas.repairs.users import Repaired, repair


@dataclass(frozen=True, slots=True)
class Step:
    """What was done to a value, and the value afterwards: None where nothing is left."""

    says: str
    value: object
    is_hash: bool = False
    """Whether the value is a hash as it is sent, so that it may be shown."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A column, the field it comes from, what was uploaded for it, the steps, and the reason where it stays empty."""

    column: str
    field: str | None
    given: tuple[tuple[str, object], ...]
    steps: tuple[Step, ...]
    left: object
    """What the column holds."""

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """What becomes of one user at one account."""

    rejection: Rejection | None
    traces: tuple[Trace, ...]
    is_declared: bool
    """Whether a template makes the row; of one that code makes there are no steps to show."""


def explained(provider: AnyProvider, user: AudienceUser) -> Explained:
    """Return how each column of a user's row comes about; where code makes the row, only whether there is one."""
    *_, made = make_rows(provider, [(0, user)])
    return _explained(provider, user, made, provider.maker if provider.is_declared() else None)


def explained_removal(provider: AnyProvider, user: AudienceUser) -> Explained:
    """Return the same of a user who is to leave. Raises RejectError(`cannot_remove`)."""
    *_, made = make_removal_rows(provider, [(0, user)])
    return _explained(provider, user, made, None if provider.has_own_removal_rows() else provider.removal_maker)


def _explained(provider: AnyProvider, user: AudienceUser, made: Rows, maker: RowMaker | None) -> Explained:
    rejection = made.rejected[0][1] if made.rejected else None
    if maker is None:
        return Explained(rejection, (), is_declared=False)
    repaired = repair(user)
    traces = {column: _trace(provider, column, user, repaired) for column in maker.columns}
    return Explained(rejection, tuple(_whole(maker, traces)), is_declared=True)


def _trace(provider: AnyProvider, column: Column, user: AudienceUser, repaired: Repaired) -> Trace:
    given = tuple((field, _value(user, field)) for field in column.fields)
    steps = list(_repairs(column, repaired))
    left, reason = _value(repaired.user, column.field), dict(repaired.dropped).get(column.field or "")
    if column.value is not None:
        step, fault = _computed(column.value, column, repaired.user, provider)
        steps, left, reason = [*steps, step], step.value, fault or reason
    elif column.is_text and isinstance(left, str) and left.strip():
        country = alpha_2(repaired.user.country) if repaired.user.country else None
        reason = fault_of(column, provider.settings)(left, country)
        steps += _text_steps(provider, column, left, country)
        left = steps[-1].value if steps else left
    return Trace(column.name, column.field, given, tuple(steps), left, reason)


def _computed(
    value: Callable[[AudienceUser, object], object], column: Column, user: AudienceUser, provider: AnyProvider
) -> tuple[Step, str | None]:
    """Return what a provider's function makes of a user, and why nothing, as rows are made of it."""
    says = column.says or ""
    try:
        made = value(user, provider.settings)
    except Exception:
        return Step(says, None), "bug"
    if isinstance(made, Rejection):
        return Step(says, None), made.reason
    return Step(says, made, is_hash=column.form != "plain"), None


def _value(user: AudienceUser, field: str | None) -> object:
    if field is None:
        return None
    if field in FIELDS:
        return attrgetter(FIELDS[field])(user)
    return None if user.purchase is None else attrgetter(PURCHASE[field])(user.purchase)


def _repairs(column: Column, repaired: Repaired) -> Iterator[Step]:
    """Yield what was repaired before any rule, or that the value, or a part of it, was dropped."""
    for field in column.fields:
        value = _value(repaired.user, field)
        kinds = [kind.partition(": ")[2] for kind in repaired.repaired if kind.startswith(f"{field}: ")]
        if kinds:
            yield Step(f"repaired ({', '.join(kinds)})", value)
        for dropped, reason in repaired.dropped:
            if dropped == field:
                yield Step("dropped", None)
            elif dropped.startswith(f"{field}."):
                yield Step(f"{dropped} dropped ({reason})", value)


def _text_steps(provider: AnyProvider, column: Column, text: str, country: str | None) -> Iterator[Step]:
    if digest := hash_in(column, text):
        value = form_of_hash(digest, column.form) if column.hashed == "kept" else None
        yield Step(f"a SHA-256 already, {column.hashed}", value, is_hash=True)
        return
    left: str | None = text
    for rule, left in walk(column, provider.settings)(text, country):
        yield Step(rule.says, left)
    if left and column.form != "plain":
        yield Step(FORMS[column.form], form_of_hash(sha256_hex(left), column.form), is_hash=True)


def _whole(maker: RowMaker, traces: dict[Column, Trace]) -> Iterator[Trace]:
    """Yield traces, where a column goes only together with others, with what it lacks."""
    wholes = list(maker.template.wholes)
    for column, trace in traces.items():
        others = [one for whole in wholes if column in whole for one in whole if one is not column]
        lacking = [f"`{one.name}`" for one in others if one not in traces or _is_nothing(traces[one].left)]
        if lacking and not _is_nothing(trace.left):
            step = Step(f"left out, as what it belongs to is not whole without {', '.join(lacking)}", None)
            yield replace(trace, steps=(*trace.steps, step), left=None)
        else:
            yield trace


def _is_nothing(value: object) -> bool:
    return value in NOTHING or (isinstance(value, str) and value.isspace())


FORMS = {"plain": "plain", "sha256": "SHA-256", "sha256_base64": "SHA-256 in base64"}
"""What goes out, as people read it."""
