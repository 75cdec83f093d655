"""What a command of the command line is."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from cli.settings.environment import Environment


def _none(parser: ArgumentParser) -> None:
    del parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command by its name; the first sentence of `text` is its line in the list of all."""

    name: str
    text: str
    run: Callable[[Namespace, Environment], Coroutine[Any, Any, None]]
    add_arguments: Callable[[ArgumentParser], None] = _none
    is_service: bool = False
    """Whether it runs until it is told to end."""
