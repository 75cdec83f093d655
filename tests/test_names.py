"""Names say what a thing is: words that tell a story about it instead are in none."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = (
    *("audience", "benchmarks", "checks", "cli", "client/audience_client", "consumer", "ledger", "producer"),
    *("providers", "sandbox", "schemas", "streams"),
)

STORY = re.compile(r"_(told|tells?|hears?|in_hand|patience|under_way|picking|letters|places)(?=_)")
"""Say what it is instead: described, report, apply, in_flight, TIMEOUT, positions, and the like."""

OF_THE_FIELD = ("dead_letters",)
"""Words that belong together and are the field's own: failed deliveries are called so wherever there are queues."""

ALLOWED: Mapping[tuple[str, str], str] = {
    ("client/audience_client/files/private_file.py", "tell"): "what files in Python are asked by, such as zipfile does",
    ("schemas/repairs/ordinary_values.py", "_FIRST_LETTERS"): "letters of the alphabet",
}
"""Names in a module that have such a word for another reason."""


def plain(name: str) -> str:
    """Return a name's words between underscores, without those that are the field's own."""
    words = f"_{re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name).lower().strip('_')}_"
    for known in OF_THE_FIELD:
        words = words.replace(f"_{known}_", "_")
    return words


def bound_by(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement of a module or a class gives: functions, classes, constants and fields."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign):
        yield from (name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def names_in(path: Path) -> Iterator[tuple[int, str]]:
    """Yield a module's own name and those in it, functions within functions included, each with its line."""
    yield 1, path.parent.name if path.name == "__init__.py" else path.stem
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from ((child.lineno, name) for child in node.body for name in bound_by(child))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = (child for child in ast.walk(node) if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
            yield from ((child.lineno, child.name) for child in inner)


def is_story(place: str, name: str) -> bool:
    """Tell whether a name in a module tells a story; a test's name is a sentence, and may."""
    return bool(STORY.search(plain(name))) and not name.startswith("test_") and (place, name) not in ALLOWED


@pytest.mark.parametrize("room", ROOMS)
def test_a_name_says_what_a_thing_is_and_tells_no_story(room: str) -> None:
    paths = [(path, str(path.relative_to(ROOT))) for path in sorted((ROOT / room).rglob("*.py"))]
    assert len(paths) > 3
    found = {
        f"{place}:{line} {name}" for path, place in paths for line, name in names_in(path) if is_story(place, name)
    }
    assert sorted(found) == []


@pytest.mark.parametrize(
    "name", ["_told", "RejectedTold", "PATIENCE", "under_way", "UnderWay", "inHand", "LETTERS", "tell_all", "places_of"]
)
def test_a_word_of_a_story_is_found_however_it_is_written(name: str) -> None:
    assert STORY.search(plain(name))


@pytest.mark.parametrize("name", ["dead_letters", "DeadLetters", "hand_out", "telling", "placed", "DEAD_LETTERS"])
def test_what_is_the_fields_own_word_passes(name: str) -> None:
    assert not STORY.search(plain(name))
