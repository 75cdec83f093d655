"""Print a list of what went wrong: rows or objects, and what there is to say of them all."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console

from cli.printing.tables import print_lines, print_objects, print_rows
from cli.undecodable import Undecodable

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """How records of one kind are listed. `counted` says how many they are, of so many that stand."""

    columns: Sequence[str]
    cells: Callable[[T], Sequence[str]]
    summary: Callable[[T], Mapping[str, object]]
    counted: Callable[[Sequence[T], int], Iterator[str]]

    def show(self, chosen: Sequence[T], standing: int, undecodable: Undecodable, *, as_json: bool) -> None:
        """Print what was chosen; on standard error what could not be read, and how many there are.

        Raises NotAllReadError.
        """
        if as_json:
            print_objects(map(self.summary, chosen))
        elif chosen:
            print_rows(self.columns, list(map(self.cells, chosen)), Console())
        sys.stdout.flush()
        print_lines(undecodable.lines(), sys.stderr)
        if standing or not undecodable.fault():
            print_lines(self.counted(chosen, standing), sys.stderr)
        undecodable.check()
