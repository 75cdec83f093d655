"""What accounts could use of a file, as text."""

from collections.abc import Iterator, Mapping

from rich.console import Console

from cli.dry_run.usable_users import Usable
from cli.printing.tables import print_lines, print_rows
from schemas.error_words import VOCABULARY

COLUMNS = ("account", "users", "usable", "rejected")
MOST_REASONS = 10


def print_usable(found: Mapping[str, Usable], console: Console) -> None:
    """Print a row for each account, then why it takes nothing or whom it rejects."""
    rows = [[name, f"{one.users:,}", f"{one.usable:,}", f"{one.users - one.usable:,}"] for name, one in found.items()]
    print_rows(COLUMNS, rows, console)
    print_lines(line for name, one in found.items() for line in _reasons(name, one))


def _reasons(name: str, one: Usable) -> Iterator[str]:
    if one.error:
        yield f"{name}: {one.error}: {VOCABULARY[one.error].meaning}"
    for words, counted in {"rejected": one.rejected, "usable without": one.dropped}.items():
        if counted:
            listed = ", ".join(f"{reason} ({count:,})" for reason, count in counted.most_common(MOST_REASONS))
            yield f"{name}: {words} {listed}"
