"""Tools of other languages that tests use where they are; CI says which ones must be."""

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

REQUIRED = "REQUIRE_TOOLS"
"""The variable with the tools, between blanks, without which tests fail instead of being left out."""

PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def is_left_out(tool: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a test is left out that needs a command or a module: it is not here, and need not be."""
    is_here = shutil.which(tool, path=PATH) is not None or find_spec(tool) is not None
    return not is_here and tool not in environ.get(REQUIRED, "").split()


def needs(tool: str, package: str | None = None) -> pytest.MarkDecorator:
    """Return the mark of a test that needs a tool, which a package has that may be called otherwise."""
    return pytest.mark.skipif(is_left_out(tool), reason=f"{tool} is not on this machine: install {package or tool}")
