"""How Sphinx builds these pages; `make docs` does, and a warning is an error there."""

import importlib.metadata
from typing import Any

from pygments.lexers.special import TextLexer

project = "Audience API"
author = "Audience API"
project_copyright = author
release = importlib.metadata.version("audience-api")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]

# Local links and the headings that they lead to are looked up at each build. Links to other sites are not: the builder
# `linkcheck` would call them, and builds have no network. tests/test_docs.py checks that they are well formed.
myst_heading_anchors = 3

smartquotes = False
html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False


def setup(app: Any) -> None:
    """Show as they are the languages that no lexer knows."""
    for language in ("csv", "env", "haproxy", "caddyfile"):
        app.add_lexer(language, TextLexer)
