"""The first pass as a person sees it: how a file was read and mapped, and what to say where that is not certain."""

import argparse
from dataclasses import replace
from functools import partial

from audience_client.command.choices import STDIN, mapping_options, read_options, upload_options
from audience_client.command.mapping_shown import counted, mapping_lines, table_lines
from audience_client.command.terminal import Terminal
from audience_client.command.threads import in_thread
from audience_client.errors import AmbiguousColumnsError
from audience_client.upload.prepare import Prepared, prepare


async def prepared_file(file: str, options: argparse.Namespace, terminal: Terminal) -> Prepared:
    """Read a file whole and show how it is mapped; ask where that is not certain and somebody can be asked."""
    mapping, chosen = mapping_options(options), upload_options(options)
    while True:
        try:
            found = await in_thread(partial(prepare, file, chosen, read=read_options(options), mapping=mapping))
            break
        except AmbiguousColumnsError as error:
            column = await _chosen(error, terminal) if file != STDIN else None
            if column is None:
                raise
            mapping = replace(mapping, maps=(*mapping.maps, (error.field, column)))
    for line in (*table_lines(found.table, with_examples=terminal.is_shown), *mapping_lines(found.mapping)):
        terminal.say(line)
    if closing := found.counted.closing_rows:
        numbers = " and ".join(f"{number:,}" for number in closing)
        terminal.say(
            f"  left out at the end, as nobody is in it, such as a total or a note: {found.table.unit} {numbers}"
        )
    if left_out := found.counted.not_consented:
        terminal.say(f"  left out, as they did not agree: {counted(left_out, found.table.unit)}")
    return found


async def _chosen(error: AmbiguousColumnsError, terminal: Terminal) -> str | None:
    if not terminal.can_ask:
        return None
    return await terminal.choose(f"{error.file}: which column is meant as {error.field}?", error.candidates)
