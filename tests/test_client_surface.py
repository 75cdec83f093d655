"""What programs import of the client: one module, small to import, and each of its names on a page."""

import json
import re
import subprocess
import sys
from pathlib import Path

import audience_client

ROOT = Path(__file__).parent.parent
README = ROOT / "client" / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
IMPORT = re.compile(r"^(?:from|import) (audience_client[\w.]*)", re.MULTILINE)


def test_each_public_name_is_there_and_on_the_client_s_page() -> None:
    named = set(re.findall(r"`(\w+)`", README.read_text(encoding="utf-8")))
    assert sorted(set(audience_client.__all__) - named) == []
    for name in audience_client.__all__:
        assert getattr(audience_client, name).__name__ == name


def test_examples_and_pages_import_nothing_else() -> None:
    pages = [README, *sorted((ROOT / "docs").rglob("*.md"))]
    shown = [block for page in pages for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    shown += [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples" / "files").rglob("*.py"))]
    found = {name for code in shown for name in IMPORT.findall(code)}
    assert found == {"audience_client"}


def test_the_command_s_help_loads_neither_http_nor_readers() -> None:
    code = "import audience_client.command.arguments, json, sys; print(json.dumps(list(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(ran.stdout)
    assert not {"httpx2", "msgspec", "audience_client.clients"} & set(loaded)
