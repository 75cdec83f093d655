"""`audience check` and `audience errors`, and providers that other packages bring."""

import asyncio
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from test_cli import audience
from world import sandbox_running

from cli.pages.errors_page import errors_page
from providers.installed import installed, open_account, open_session
from providers.kit.errors import PlatformError
from providers.kit.private_addresses import is_public
from providers.kit.rate_limiter import Pace
from providers.webhook import Webhook, WebhookSettings
from sandbox import CREDENTIALS
from schemas.error_words import VOCABULARY
from streams.processes.ports import free_port

ROOT = Path(__file__).parent.parent
SANDBOXED = {name: value for credentials in CREDENTIALS.values() for name, value in credentials.items()}


@pytest.fixture
async def sandbox_url() -> AsyncIterator[str]:
    """The platforms' stand-ins."""
    async with sandbox_running() as url:
        yield url


def settings(url: str, **changes: str) -> dict[str, str]:
    """Return settings of accounts that the sandbox lets in."""
    urls = {f"{name.upper()}_BASE_URL": f"{url}/{name}" for name in CREDENTIALS}
    return {**SANDBOXED, **urls, "AUDIENCE_PROVIDERS": "facebook,facebook/eu,tiktok,klaviyo", **changes}


async def test_accounts_that_are_let_in_are_said_to_be_and_nothing_is_created(tmp_path: Path, sandbox_url: str) -> None:
    eu = {"FACEBOOK_EU_ACCESS_TOKEN": SANDBOXED["FACEBOOK_ACCESS_TOKEN"], "FACEBOOK_EU_AD_ACCOUNT_ID": "1002"}
    code, output, errors = await audience(tmp_path, "check", **settings(sandbox_url, **eu))
    assert (code, errors) == (0, "")
    assert [line.partition(":")[0] for line in output.splitlines()] == ["facebook", "facebook/eu", "tiktok", "klaviyo"]
    async with aiohttp.ClientSession() as session:
        for name in CREDENTIALS:
            async with session.get(f"{sandbox_url}/_sandbox/audiences?provider={name}") as response:
                assert (await response.json())["audiences"] == []


async def test_what_is_wrong_is_told_in_the_vocabulary_s_words_for_every_account(
    tmp_path: Path, sandbox_url: str
) -> None:
    wrong = {"FACEBOOK_ACCESS_TOKEN": "made-up-wrong", "TIKTOK_BASE_URL": f"http://127.0.0.1:{free_port()}"}
    code, output, errors = await audience(tmp_path, "check", **settings(sandbox_url, **wrong))
    assert code == 1
    lines = output.splitlines()
    token = VOCABULARY["token_invalid"]
    assert lines[0].startswith("facebook: token_invalid (190, request ")
    assert lines[0].endswith(f"): {token.meaning} {token.remedy}")
    assert lines[1] == "facebook/eu: FACEBOOK_EU_ACCESS_TOKEN: set it, it is required"
    assert lines[2] == "facebook/eu: FACEBOOK_EU_AD_ACCOUNT_ID: set it, it is required"
    assert lines[3].startswith("tiktok: unreachable (")
    assert lines[4].startswith("klaviyo: answers")
    assert errors == "audience check: 3 of 4 accounts can't be used\n"
    assert "made-up-wrong" not in output


async def test_terms_that_wait_and_an_account_that_is_missing_are_told(tmp_path: Path, sandbox_url: str) -> None:
    expected = {"terms": "terms_not_accepted (200/1870090", "not_found": "account_not_found (100/33"}
    for fault, words in expected.items():
        async with aiohttp.ClientSession() as session:
            body = {"provider": "facebook", "fault": fault}
            async with session.post(f"{sandbox_url}/_sandbox/faults", json=body):
                pass
        code, output, _ = await audience(tmp_path, "check", "--provider", "facebook", **settings(sandbox_url))
        assert code == 1
        assert output.startswith(f"facebook: {words}")


async def test_without_accounts_nothing_is_called(tmp_path: Path) -> None:
    code, output, errors = await audience(tmp_path, "check")
    assert (code, output) == (1, "")
    assert errors.startswith("audience check: AUDIENCE_PROVIDERS: name the accounts")


def test_the_page_of_errors_is_what_the_command_prints() -> None:
    assert (ROOT / "docs" / "errors.md").read_text() == errors_page(installed()), "run `make docs`"


async def test_the_errors_command_prints_every_word(tmp_path: Path) -> None:
    code, output, _ = await audience(tmp_path, "errors")
    assert code == 0
    assert all(f"| `{word}`" in output for word in VOCABULARY)


def outside(folder: Path, name: str = "outside", value: str = "outside:Outside") -> dict[str, str]:
    """Install a provider from outside in a folder; return the environment that finds it."""
    dist = folder / f"{name}-1.0.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-audience\nVersion: 1.0\n")
    (dist / "entry_points.txt").write_text(f"[audience.providers]\n{name} = {value}\n")
    (folder / "outside.py").write_text(
        textwrap.dedent(
            """
            from providers.webhook import Webhook

            class Outside(Webhook):
                name = "outside"
            """
        )
    )
    return {"PYTHONPATH": str(folder)}


async def test_a_provider_of_another_package_is_there_once_it_is_installed(tmp_path: Path) -> None:
    environment = outside(tmp_path)
    (tmp_path / "users.json").write_text('[{"email": "a@example.com"}]')
    arguments = ("preview", "users.json", "--name", "VIP", "--provider", "outside/eu")
    code, output, errors = await audience(tmp_path, *arguments, **environment, OUTSIDE_EU_SECRET="made-up")
    assert (code, errors) == (0, "")
    assert '"provider":"outside","account":"eu"' in output
    _, output, _ = await audience(tmp_path, "config", **environment, AUDIENCE_PROVIDERS="outside", COLUMNS="200")
    assert "OUTSIDE_SECRET" in output


async def test_the_example_of_how_to_add_a_provider_passes_the_suite_from_another_package(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "adding-a-provider.md").read_text()
    module, _who_leaves, suite = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (project,) = (tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", page, re.DOTALL))
    environment = outside(tmp_path, *next(iter(project["project"]["entry-points"]["audience.providers"].items())))
    assert project["tool"]["setuptools"]["py-modules"] == ["audience_acme"]
    (tmp_path / "audience_acme.py").write_text(module)
    (tmp_path / "test_acme.py").write_text(f"from audience_acme import Acme\n{suite}")
    options = ("-q", "-c", "/dev/null", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", *options, "test_acme.py", cwd=tmp_path, env=os.environ | environment,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert re.search(r"1\d passed", output.decode())


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("outside", "outside:Missing", "the provider outside of outside-audience fails on import"),
        ("other", "outside:Outside", "outside:Outside of other-audience is no Provider with the name other"),
        ("facebook", "outside:Outside", "two installed packages have a provider facebook"),
    ],
)
async def test_a_provider_that_can_not_be_used_is_named_with_its_package(
    tmp_path: Path, name: str, value: str, told: str
) -> None:
    code, _, errors = await audience(tmp_path, "config", **outside(tmp_path, name, value))
    assert code == 1
    assert told in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("address", "is_it"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 -- nothing binds to it
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_addresses_of_the_internet_are_public(address: str, is_it: bool) -> None:
    assert is_public(address) == is_it


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.0.0.1"])
async def test_a_webhook_does_not_lead_to_a_private_address_by_any_name(host: str, sandbox_url: str) -> None:
    port = sandbox_url.rpartition(":")[2]
    made = WebhookSettings.model_validate({"base_url": f"http://{host}:{port}/tiktok/", "secret": "made-up"})
    async with open_session(made) as session:
        provider = open_account(Webhook, made, session, Pace({}))
        with pytest.raises(PlatformError, match=r"address_refused|InvalidUrl"):
            await provider.send("VIP", [msgspec.Raw(b"{}")])
    async with aiohttp.ClientSession() as session, session.get(f"{sandbox_url}/_sandbox/counters") as response:
        assert (await response.json())["tiktok"]["calls"] == 0


async def test_a_webhook_s_private_address_is_refused_at_the_start_unless_it_is_allowed(tmp_path: Path) -> None:
    values = {"WEBHOOK_BASE_URL": "http://10.0.0.1/take", "WEBHOOK_SECRET": "made-up"}
    (tmp_path / "users.json").write_text('[{"email": "a@example.com"}]')
    arguments = ("preview", "users.json", "--name", "VIP", "--provider", "webhook")
    code, _, errors = await audience(tmp_path, *arguments, **values)
    assert code == 1
    assert "private address" in errors
    code, _, _ = await audience(tmp_path, *arguments, **values, WEBHOOK_ALLOW_PRIVATE="true")
    assert code == 0
