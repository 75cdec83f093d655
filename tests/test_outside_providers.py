"""Providers of other packages: the example that the page shows, and rows that are made by hand."""

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_cli import audience

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "provider"
BY_HAND = ROOT / "tests" / "outside"
SUITE = """
from audience_by_hand import Acme

from audience.conformance import ProviderConformance


class TestAcme(ProviderConformance):
    kind = Acme
"""


def installed_at(folder: Path, value: str, *paths: Path) -> dict[str, str]:
    """Install a provider named acme into a folder; return the environment that has it."""
    dist = folder / "acme-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-audience\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(f"[audience.providers]\nacme = {value}\n")
    return {"PYTHONPATH": os.pathsep.join(map(str, (folder, *paths)))}


async def suite(folder: Path, tests: Path, environment: dict[str, str]) -> str:
    """Run a package's own tests as its author would, and return what pytest says."""
    options = ("-q", "-c", "/dev/null", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "--rootdir", str(folder))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", *options, str(tests), cwd=folder, env=os.environ | environment,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def test_the_page_shows_the_example_as_it_is_and_a_provider_with_its_codes_takes_80_lines() -> None:
    page = (ROOT / "docs" / "adding-a-provider.md").read_text()
    module = (EXAMPLE / "audience_acme.py").read_text()
    assert f"```python\n{module}```" in page
    assert f"```toml\n{(EXAMPLE / 'pyproject.toml').read_text()}```" in page
    assert len(module.splitlines()) <= 80


def test_every_rule_stands_on_the_page() -> None:
    rules = re.findall(
        r"^(?:def )?([A-Z_]{3,}|at_most)\b",
        (ROOT / "providers" / "kit" / "rows" / "rules.py").read_text(),
        re.MULTILINE,
    )
    page = (ROOT / "docs" / "adding-a-provider.md").read_text()
    assert len(rules) > 10
    assert [name for name in rules if f"`{name}" not in page] == []


async def test_the_example_passes_the_suite_beside_a_stand_in_of_its_platform(tmp_path: Path) -> None:
    environment = installed_at(tmp_path, "audience_acme:Acme", EXAMPLE)
    output = await suite(tmp_path, EXAMPLE / "tests" / "test_acme.py", environment)
    assert re.search(r"2[0-9] passed", output)


async def test_a_declared_provider_of_another_package_is_explained_and_has_its_part_of_the_page(tmp_path: Path) -> None:
    environment = installed_at(tmp_path, "audience_acme:Acme", EXAMPLE)
    (tmp_path / "users.json").write_text('[{"email": "A@example.com"}]')
    arguments = ("preview", "users.json", "--name", "VIP", "--provider", "acme")
    code, output, errors = await audience(tmp_path, *arguments, "--explain", **environment)
    assert (code, errors) == (0, "")
    assert "trimmed, lower case: a•••" in output
    _, page, _ = await audience(tmp_path, "platforms", **environment)
    assert "| `email` | `email` | SHA-256 | trimmed, lower case | kept | 1 |" in page
    assert "It never gets `edgeTagId`, `phone`, `firstName`" in page


async def test_rows_that_are_made_by_hand_work_as_before(tmp_path: Path) -> None:
    environment = installed_at(tmp_path, "audience_by_hand:Acme", BY_HAND)
    (tmp_path / "test_acme.py").write_text(SUITE)
    assert re.search(r"1\d passed", await suite(tmp_path, tmp_path / "test_acme.py", environment))
    (tmp_path / "users.json").write_text('[{"email": "A@example.com"}, {"email": "nobody"}]')
    arguments = ("preview", "users.json", "--name", "VIP", "--provider", "acme")
    code, output, errors = await audience(tmp_path, *arguments, **environment)
    assert (code, errors) == (0, "")
    assert '"rejected":[{"index":1,"field":"email","reason":"not_an_email"}]' in output
    code, output, _ = await audience(tmp_path, *arguments, "--explain", **environment)
    assert (code, output.splitlines()[0]) == (0, "acme: user 0 makes a row")
    assert "made by code" in output
    _, page, _ = await audience(tmp_path, "platforms", **environment)
    assert "## acme" in page


async def test_a_row_of_one_s_own_beside_a_template_is_what_replays_send_and_what_is_told_is_by_code(
    tmp_path: Path,
) -> None:
    (tmp_path / "owned.py").write_text(
        "from audience_acme import Acme\n\n\nclass Owned(Acme):\n"
        "    def row(self, user):\n        return {'mine': user.email}\n"
    )
    environment = installed_at(tmp_path, "owned:Owned", EXAMPLE)
    (tmp_path / "users.json").write_text('[{"email": "a@example.com"}]')
    arguments = ("preview", "users.json", "--name", "VIP", "--provider", "acme")
    code, output, _ = await audience(tmp_path, *arguments, "--explain", **environment)
    assert code == 0
    assert "made by code" in output
    _, page, _ = await audience(tmp_path, "platforms", **environment)
    assert "Its rows are made by code" in page[page.index("## acme") :]
    check = (
        "from owned import Owned\n\nfrom audience.provider import AudienceUser\n\n"
        "print(Owned.__new__(Owned).bare_row(AudienceUser(email='a@example.com')))\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", check, env=os.environ | environment, stdout=subprocess.PIPE
    )
    assert (await process.communicate())[0].decode() == "{'mine': 'a@example.com'}\n"


WHOLE = """
from audience_acme import *

from audience.provider import EMAIL, NAME, Column, Limits, RowTemplate, Together, members

E = Column("email", "email", (EMAIL,), "sha256")
FIRST, LAST = Column("first", "firstName", (NAME,), "sha256"), Column("last", "lastName", (NAME,), "sha256")


def fails(user, settings):
    raise ValueError


class Whole(Acme):
    limits = Limits(rows=10, row=100, body=1000)
    template = RowTemplate(
        row={"e": E, "name": Together(members(FIRST, LAST))}, usable=[[E], [FIRST]], rejects=[E], source="example.com"
    )


class Failing(Acme):
    template = RowTemplate(
        row={"e": E, "x": Column("x", None, value=fails, says="fails")}, usable=[[E]], rejects=[E], source="example.com"
    )


class Unset(Acme):
    switched = Column("email", "email", (EMAIL.only("normalise"),), "sha256")
    template = RowTemplate(row={"e": switched}, usable=[[switched]], rejects=[], source="example.com")
"""


@pytest.mark.parametrize(
    ("kind", "user", "lines"),
    [
        ("Whole", {"email": "a@example.com", "firstName": "Ada"}, ["user 0 makes a row", "what it belongs to is not"]),
        ("Whole", {"email": "a@example.com", "firstName": "A", "lastName": "L"}, ["user 0 is rejected: too_large"]),
        ("Failing", {"email": "a@example.com"}, ["user 0 is rejected: bug", "fails: nothing -> bug"]),
    ],
)
async def test_explain_says_of_a_row_what_becomes_of_it(
    tmp_path: Path, kind: str, user: dict[str, str], lines: list[str]
) -> None:
    (tmp_path / "whole.py").write_text(WHOLE)
    environment = installed_at(tmp_path, f"whole:{kind}", EXAMPLE)
    (tmp_path / "users.json").write_text(json.dumps([user]))
    arguments = ("preview", "users.json", "--name", "VIP", "--provider", "acme", "--explain")
    code, output, _ = await audience(tmp_path, *arguments, **environment)
    assert code == 0
    assert all(line in output for line in lines), output


async def test_a_setting_that_an_account_does_not_have_is_refused_with_its_column(tmp_path: Path) -> None:
    (tmp_path / "whole.py").write_text(WHOLE)
    environment = installed_at(tmp_path, "whole:Unset", EXAMPLE)
    code, _, errors = await audience(tmp_path, "config", **environment)
    assert (code, "email: there is no setting normalise" in errors) == (1, True), errors


async def test_a_declaration_that_is_wrong_says_why(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(
        "from audience_acme import *\n\nfrom audience.provider import Column\n\nWRONG = Column('email', 'emial')\n"
    )
    environment = installed_at(tmp_path, "wrong:Acme", EXAMPLE)
    code, _, errors = await audience(tmp_path, "config", **environment)
    assert (code, "email: users have no field emial" in errors, "Traceback" in errors) == (1, True, False)


async def test_a_provider_that_neither_declares_nor_makes_rows_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "rowless.py").write_text(
        "from audience_acme import Acme\n\n\nclass Rowless(Acme):\n    template = None\n"
    )
    environment = installed_at(tmp_path, "rowless:Rowless", EXAMPLE)
    (tmp_path / "users.json").write_text('[{"email": "A@example.com"}]')
    arguments = ("preview", "users.json", "--name", "VIP", "--provider", "acme")
    code, output, errors = await audience(tmp_path, *arguments, **environment)
    assert (code, output) == (1, "")
    assert "rowless:Rowless of acme-audience makes no rows: give it a template, or row and identifiers" in errors
    assert "Traceback" not in errors
