"""`audience errors`: the vocabulary as a page, and each platform's codes in its words."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from cli.command import Command
from cli.settings.environment import Environment
from providers.installed import installed
from providers.kit.provider import AnyProvider
from schemas.error_words import VOCABULARY

HEAD = """# Errors

What completions, sync answers and logs say when something is not as it should be. `audience errors` prints this page.

| class | what we do |
|---|---|
| retry | try the same call again, later and later, not before the platform's own wait |
| throttle | hold the account's calls for as long as the platform says; not an attempt |
| reject | give up these users or this record; everything else goes on |
| stop | nothing of this account passes until a person has acted |

The scope says how far an error reaches: one `row` (a user) or the rows of one call, one `record` of the log, one
`audience`, or the whole `account`. After an error marked `?` the platform may have done what it was asked; before an
audience is created again it is looked up.
"""


def errors_page(kinds: Mapping[str, type[AnyProvider]]) -> str:
    """Return the page in Markdown."""
    lines = [HEAD, "| code | class | scope | meaning | what to do |", "|---|---|---|---|---|"]
    for code, of in VOCABULARY.items():
        mark = " ?" if of.is_ambiguous else ""
        lines.append(f"| `{code}`{mark} | {of.action} | {of.scope} | {of.meaning} | {_plain(of.remedy)} |")
    for name, kind in kinds.items():
        if kind.codes:
            lines += ["", f"## {name}", "", "| the platform's code | our code | class |", "|---|---|---|"]
            lines += [f"| {span} | `{word}` | {VOCABULARY[word].action} |" for span, word in _spans(kind.codes)]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Return a text whose `<NAME>` Markdown does not take for a tag."""
    return text.replace("<", "\\<")


def _spans(codes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield codes and their word, neighbouring numbers of one word as a span."""

    def place(numbered: tuple[int, str]) -> tuple[str, int]:
        position, code = numbered
        return codes[code], int(code) - position if code.isdecimal() else -1

    for (word, _), run in groupby(enumerate(sorted(codes, key=_order)), key=place):
        span = [code for _, code in run]
        yield from _rows(span, word)


def _rows(span: list[str], word: str) -> Iterable[tuple[str, str]]:
    if len(span) > 2 and span[0].isdecimal():
        return [(f"{span[0]} to {span[-1]}", word)]
    return [(code, word) for code in span]


def _order(code: str) -> tuple[int, int]:
    first, _, second = code.partition("/")
    return (int(first), int(second or 0)) if first.isdecimal() and (second or "0").isdecimal() else (0, 0)


async def print_errors(options: Namespace, environment: Environment) -> None:
    """Print the page, with the platforms that are installed."""
    del options, environment
    sys.stdout.write(errors_page(installed()))


COMMAND = Command(
    name="errors",
    text=(
        "Print what every error means. A page in Markdown: the words that completions, sync answers and logs use, "
        "what is done and what to do, and each platform's codes in these words. It is docs/errors.md."
    ),
    run=print_errors,
)
