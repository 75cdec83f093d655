"""The README and the pages as Markdown: their blocks, and the code within their text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "client" / "README.md",
    *sorted(DOCS.glob("**/*.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]

MARK = re.compile(r"<!-- (?:(?:run|checked) by (?P<test>tests/\w+\.py)|not run: (?P<reason>\S.{5,})) -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a page, and the comment above it that says who runs it, or why nobody does."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def test(self) -> str | None:
        """The test module that runs it."""
        found = MARK.fullmatch(self.mark)
        return found["test"] if found else None


def tokens(page: Path) -> list[Token]:
    """Return what a page consists of."""
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield all blocks of a page; an indented one has no language."""
    lines = page.read_text(encoding="utf-8").splitlines()
    for token in tokens(page):
        if token.type in ("fence", "code_block") and token.map:
            above = lines[token.map[0] - 1] if token.map[0] else ""
            yield Block(page, token.map[0] + 1, token.info, token.content, above if above.startswith("<!--") else "")


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def spans(page: Path) -> Iterator[str]:
    """Yield the code within the text of a page."""
    for token in tokens(page):
        yield from (child.content for child in token.children or () if child.type == "code_inline")
