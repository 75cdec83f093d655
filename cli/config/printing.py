"""Settings as text: a table or lines for people, lines for a `.env`."""

import re
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.config.listing import Setting
from cli.printing.escaping import printable
from cli.printing.tables import print_lines

COLUMNS = ("variable", "value", "from")

LEAST_FOR_MEANING = 30
"""Columns below which a table would tell the meaning a word a line."""


def print_settings(found: Sequence[Setting], console: Console) -> None:
    """Print a table where its names and values fit, else a few lines for each: no name is ever cut."""
    table, narrow = Table(*COLUMNS, "meaning"), Table(*COLUMNS)
    for column in table.columns[: len(COLUMNS)]:
        column.no_wrap = True
    for setting in found:
        cells = [Text(printable(cell)) for cell in (setting.variable, setting.shown, setting.origin)]
        table.add_row(*cells, setting.meaning)
        narrow.add_row(*cells)
    needed = console.measure(narrow, options=console.options.update_width(10_000)).maximum
    if needed + LEAST_FOR_MEANING <= console.width:
        console.print(table)
    else:
        print_lines(line for setting in found for line in _lines(setting))


def _lines(setting: Setting) -> Iterator[str]:
    yield f"{setting.variable}={setting.shown}"
    yield f"    {setting.meaning} ({setting.origin})"


def env_lines(setting: Setting) -> Iterator[str]:
    """Yield lines that a `.env` takes: what is set as it is, secrets and what is not set as comments."""
    yield f"# {setting.meaning}"
    if setting.is_set and setting.is_secret:
        yield f"# {setting.variable}=  (secret: set, from {setting.origin}; its value is not printed)"
    elif setting.is_set and setting.origin != "audience up":
        yield from _assignment(setting.variable, setting.value or "")
    else:
        yield f"# {setting.variable}={setting.shown}"


def _assignment(variable: str, value: str) -> Iterator[str]:
    if "${" in value or not value.isprintable():
        yield f"# {variable}=  (set, to what a .env can't hold as it is)"
    elif re.fullmatch(r"[A-Za-z0-9_.,:/@+-]+", value):
        yield f"{variable}={value}"
    else:
        quoted = value.replace("\\", "\\\\").replace("'", "\\'")
        yield f"{variable}='{quoted}'"
