"""`audience platforms`: what each platform gets of a user, and how users leave, as the providers' declarations say."""

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence

from cli.command import Command
from cli.settings.environment import Environment
from providers.installed import installed
from providers.kit.call_limits import Limits
from providers.kit.provider import AnyProvider
from providers.kit.rows.columns import PURCHASE, TEXTS, Column, RowTemplate
from providers.kit.rows.row_explanation import FORMS
from providers.kit.rows.rules import Rule, When
from providers.kit.settings import variable
from schemas.target import Target

HEAD = """# What each platform gets

Made of the providers' own declarations, by which rows are made too. `audience platforms` prints this page, with the
providers of other packages that are installed; `audience preview users.json --name VIP --explain` shows the same of one
user.

What spreadsheets, exports and people did to a value is undone before any of these rules, the same for all platforms:
[values.md](values.md). The rules of a column come in this order; where they leave nothing of a value, the user goes
without it, and that is counted. A value that is a SHA-256 already is never hashed again: where it says `kept`, it goes
in lower case, where it says `refused`, it does not go, where it says `as text`, it is a text like any other.

Who is taken out of an audience is named by what alone says who somebody is, made by the same rules. Names, countries
and postal codes alone identify nobody, and nothing is told of what was bought.

The [status](status.md) counts what a platform says, and nothing is reckoned: `matched` and `usable` are null where it
never says how many it knows, or how many a campaign could reach.
"""
GIVEN_HASH = {"kept": "kept", "refused": "refused", "text": "as text"}


def platforms_page(kinds: Mapping[str, type[AnyProvider]]) -> str:
    """Return the page in Markdown."""
    return "\n".join([HEAD, *(line for name, kind in kinds.items() for line in _platform(name, kind))]) + "\n"


def _platform(name: str, kind: type[AnyProvider]) -> Iterator[str]:
    yield from (f"## {name}", "", " ".join((kind.__doc__ or "").split()), "")
    yield from _addition(name, kind)
    yield from (_ladder(kind), "")
    yield from (*_removal(name, kind), "")


def _addition(name: str, kind: type[AnyProvider]) -> Iterator[str]:
    if kind.template is None or not kind.is_declared():
        yield from ("Its rows are made by code, so nothing can be told here: see its package.", "")
        return
    sources = _sources(kind.template)
    yield from (*_table(name, kind.template, sources), "", *_numbered(sources), "")
    yield f"A user makes a row with {_usable(kind.template)}."
    if attributes := [f"`{column.name}`" for _, column in kind.template.column_paths if column.is_attribute]:
        yield f"Replays leave out {_listed(attributes)}, unless `--with-attributes`."
    never = list(_never(name, kind.template))
    yield f"It never gets {_listed(never)}." if never else "It gets every field."
    yield _limits(name, kind)
    yield ""


def _ladder(kind: type[AnyProvider]) -> str:
    """Return what the platform says of those whom it took."""
    if kind.says_matched:
        return "It says how many of an upload it knows (`matched`), never how many are `usable`."
    return "It never says how many of an upload it knows: `matched` is null, and so is `usable`."


def _sources(template: RowTemplate) -> Sequence[str]:
    return list(dict.fromkeys(column.source or template.source for _, column in template.column_paths))


def _numbered(sources: Sequence[str]) -> Iterator[str]:
    yield from (f"{number}. {source}" for number, source in enumerate(sources, start=1))


def _removal(name: str, kind: type[AnyProvider]) -> Iterator[str]:
    """Yield how people leave, whom a removal names, and what differs from an addition."""
    removal = kind.removal
    if removal is None:
        yield "People can't be taken out of its audiences: `cannot_remove`."
        return
    yield f"People leave by {removal.says} ({removal.source})."
    template = kind.removal_template()
    if template is None:
        yield "The rows of a removal are made by code."
        return
    yield f"A removal names them by {_usable(template)}; it has nothing else of them."
    if removal.limits is not None:
        yield f"A call of a removal holds {_most(removal.limits)}."
    if removal.keeps:
        yield f"An audience must keep {removal.keeps:,} members."
    known = {column for _, column in kind.template.column_paths} if kind.template else set()
    if any(column not in known for _, column in template.column_paths):
        sources = _sources(template)
        yield from ("", *_table(name, template, sources), "", *_numbered(sources))


def _most(limits: Limits) -> str:
    return f"{limits.rows:,} users and {limits.body:,} bytes of them at most"


def _limits(name: str, kind: type[AnyProvider]) -> str:
    limits, settings = kind.limits, kind.settings_type.model_fields
    setting = f" (`{variable(Target(name), 'rows')}`)" if "rows" in settings else ""
    row = f", a user {limits.row:,} bytes" if limits.row else ""
    return f"A call holds {limits.rows:,} users{setting} and {limits.body:,} bytes of them at most{row}."


def _table(name: str, template: RowTemplate, sources: Sequence[str]) -> Iterator[str]:
    yield "| field | there | goes | by which rules | a SHA-256 that is given | source |"
    yield "|---|---|---|---|---|---|"
    whole = {column for part in template.wholes for column in part}
    for path, column in template.column_paths:
        number = sources.index(column.source or template.source) + 1
        field = ", ".join(f"`{field}`" for field in column.fields) or "-"
        there = f"`{path.strip('/') or column.name}`{', with all around it or not at all' if column in whole else ''}"
        rules = _rules(name, column)
        yield f"| {field} | {there} | {FORMS[column.form]} | {rules} | {_given(column)} | {number} |"


def _given(column: Column) -> str:
    if column.field not in TEXTS or column.value is not None:
        return "-"
    return GIVEN_HASH[column.hashed] if column.is_text else "as text"


def _rules(name: str, column: Column) -> str:
    rules = [_rule(name, rule) for rule in column.rules] or [column.says or "as uploaded"]
    return f"{_when(name, column.when)}{'; '.join(rules)}"


def _rule(name: str, rule: Rule) -> str:
    return f"{_when(name, rule.when)}{rule.says}"


def _when(name: str, when: When | None) -> str:
    return f"with {_setting(name, when)}: " if when else ""


def _setting(name: str, when: When) -> str:
    value = "" if when.value is None else f"={str(when.value).lower()}"
    return f"`{variable(Target(name), when.setting)}{value}`"


def _usable(template: RowTemplate) -> str:
    groups = [" and ".join(f"`{column.name}`" for column in group) for group in template.usable]
    together = [f"{group} together" if " and " in group else group for group in groups]
    return ", or ".join(together)


def _never(name: str, template: RowTemplate) -> Iterator[str]:
    """Yield the fields that no column has, or only where a setting switches it on; a purchase as a whole if it can."""
    switched = {field: _switches(name, template, field) for field in (*TEXTS, *PURCHASE)}
    lacking = {field: switches for field, switches in switched.items() if switches != ""}
    if len({lacking.get(field) for field in PURCHASE}) == 1 and PURCHASE.keys() <= lacking.keys():
        texts = {field: of for field, of in lacking.items() if field in TEXTS}
        lacking = {**texts, "purchase": lacking[min(PURCHASE)]}
    yield from (f"`{field}`" + (f" (unless {of} is set)" if of else "") for field, of in lacking.items())


def _switches(name: str, template: RowTemplate, field: str) -> str | None:
    """Return the settings without which a field does not go; empty where it always does, None where it never does."""
    wanted = {field, field.partition(".")[0]}
    mine = [column for _, column in template.column_paths if wanted & set(column.fields)]
    if not mine:
        return None
    switches = dict.fromkeys(_setting(name, column.when) if column.when else "" for column in mine)
    return "" if "" in switches else " or ".join(switches)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


async def print_platforms(options: Namespace, environment: Environment) -> None:
    """Print the page, with the platforms that are installed."""
    del options, environment
    sys.stdout.write(platforms_page(installed()))


COMMAND = Command(
    name="platforms",
    text=(
        "Print what each platform gets of a user. A page in Markdown: for each field whether it goes, plain or hashed, "
        "by which rules and whose, what a platform never gets, and how people leave. It is docs/platforms.md."
    ),
    run=print_platforms,
)
