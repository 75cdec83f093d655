"""What others import: one package, small to import, typed, and each of its names on a page."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import audience
import audience.conformance
import audience.provider
import audience_client
from providers.kit.rows import rules

ROOT = Path(__file__).parent.parent
ROOMS = ("cli", "consumer", "ledger", "producer", "providers", "sandbox", "schemas", "streams")
SURFACE = {module.__name__: set(module.__all__) for module in (audience, audience.conformance, audience.provider)}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = [*sorted((ROOT / "examples").rglob("*.py")), *sorted((ROOT / "tests" / "outside").glob("*.py"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def codes() -> Iterator[tuple[str, str]]:
    """Yield what is shown to others as Python, each with the place where it stands."""
    for path in EXAMPLES:
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    for page in PAGES:
        yield from ((str(page.relative_to(ROOT)), block) for block in BLOCK.findall(page.read_text(encoding="utf-8")))


def imports(code: str) -> Iterator[tuple[str, str | None]]:
    """Yield the modules that code imports, each with the name that it takes from there."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)


def loaded_by(code: str) -> list[str]:
    """Return the modules that a new Python has after running code."""
    command = [sys.executable, "-c", f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
    names: list[str] = json.loads(ran.stdout)
    return names


def test_pages_and_examples_import_nothing_of_ours_but_the_public_surface() -> None:
    ours = [(place, *found) for place, code in codes() for found in imports(code)]
    ours = [found for found in ours if found[1].partition(".")[0] in (*ROOMS, "audience")]
    assert {place for place, *_ in ours} >= {"examples/provider/audience_acme.py", "docs/adding-a-provider.md"}
    assert [found for found in ours if found[2] not in SURFACE.get(found[1], ())] == []


def test_the_publisher_is_shown_by_its_public_name() -> None:
    shown = [found for _, code in codes() for found in imports(code)]
    assert ("audience", "AudiencePublisher") in shown


@pytest.mark.parametrize("module", ["audience.provider", "audience.conformance"])
def test_each_name_for_the_author_of_a_provider_stands_on_the_page(module: str) -> None:
    page = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
    names = page[page.index("## All names") :]
    assert [name for name in sorted(SURFACE[module]) if not re.search(rf"`{name}\b", names)] == []


def test_each_function_of_normalise_on_the_page_is_one() -> None:
    page = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`normalise\.(\w+)", page))
    assert len(named) >= 9
    assert all(callable(getattr(audience.provider.normalise, name)) for name in named)


def test_each_name_for_a_publisher_stands_on_one_page() -> None:
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    page = next(text for text in texts if "from audience import AudiencePublisher" in text)
    assert [name for name in sorted(SURFACE["audience"]) if not re.search(rf"\b{name}\b", page)] == []


def test_each_name_of_the_client_stands_in_its_readme() -> None:
    page = (ROOT / "client" / "README.md").read_text(encoding="utf-8")
    shown = [name for name in audience_client.__all__ if re.search(rf"`{name}\b|import [^\n]*\b{name}\b", page)]
    assert shown == audience_client.__all__
    assert [name for name in audience_client.__all__ if not hasattr(audience_client, name)] == []


def test_each_rule_is_public() -> None:
    made = {name for name, value in vars(rules).items() if isinstance(value, rules.Rule)}
    assert len(made) > 10
    assert made | {"Rule", "Step", "When", "at_most"} <= SURFACE["audience.provider"]


@pytest.mark.parametrize("name", sorted(SURFACE["audience"]))
def test_a_name_that_is_imported_when_it_is_asked_for_is_there(name: str) -> None:
    assert getattr(audience, name) is getattr(sys.modules["audience.publisher"], name)


def test_a_name_that_the_package_does_not_have_is_told_as_always() -> None:
    with pytest.raises(AttributeError, match="module 'audience' has no attribute 'Publisher'"):
        audience.Publisher  # type: ignore[attr-defined]  # noqa: B018 -- it is not there


def test_the_author_of_a_provider_loads_no_client_of_kafka_no_server_and_no_test_tools() -> None:
    loaded = loaded_by("import audience.provider")
    tops = {name.partition(".")[0] for name in loaded}
    assert not tops & {"confluent_kafka", "fastavro", "streams", "producer", "pytest", "hypothesis"}
    assert "aiohttp.web" not in loaded
    assert not {name.partition(".")[0] for name in loaded_by("import audience.conformance")} & {"confluent_kafka"}


def test_who_publishes_loads_no_http_server_and_no_provider() -> None:
    tops = {name.partition(".")[0] for name in loaded_by("from audience import AudiencePublisher")}
    assert not tops & {"aiohttp", "multipart", "providers", "pytest", "cli", "consumer"}


def test_all_packages_that_the_surface_loads_are_marked_as_typed() -> None:
    loaded = loaded_by("from audience import AudiencePublisher\nimport audience.conformance")
    tops = {name.partition(".")[0] for name in loaded} & {*ROOMS, "audience"}
    assert tops >= {"audience", "producer", "providers", "schemas", "streams"}
    assert [top for top in sorted(tops) if not (ROOT / top / "py.typed").is_file()] == []
