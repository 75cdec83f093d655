"""The suite for authors holds a provider that takes people out to what all such must keep to."""

import re
from pathlib import Path

import pytest
from test_outside_providers import BY_HAND, EXAMPLE, ROOT, SUITE, installed_at, suite

STAND_IN = """
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web
from acme_with_removals import AcmeWithRemovals

from audience.conformance import LiveConformance, Stage


class TestAcme(LiveConformance):
    kind = AcmeWithRemovals

    @asynccontextmanager
    async def stage(self):
        held = {}

        async def change(request):
            if request.headers.get("Authorization") != "Bearer right":
                return web.Response(status=401)
            body = await request.json()
            mine, named = held.setdefault(body["audience"], set()), set(body["hashes"])
            if request.method == "POST":
                mine |= named
                return web.Response(status=204)
            gone = mine & named
            BROKEN
            return web.json_response({"removed": len(gone)})

        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/v1/accounts/42/members", change)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()

        async def members(audience):
            return sorted(held.get(audience, ()))

        settings = {"base_url": f"http://127.0.0.1:{runner.addresses[0][1]}", "token": "right", "account_id": "42"}
        try:
            yield Stage(settings=settings, refused={"token": "wrong"}, members=members)
        finally:
            await runner.cleanup()
"""


OF_THE_CLASS = SUITE.replace("audience_by_hand", "acme_with_removals").replace(
    "Acme\n", "AcmeWithRemovals as Acme\n", 1
)
ONLY = """

for name in dir(TestAcme):
    if name.startswith("test_") and not any(word in name for word in WORDS):
        setattr(TestAcme, name, None)
"""


def only(*words: str) -> str:
    """Return what leaves the suite its tests with these words in their names, as all take their time."""
    return ONLY.replace("WORDS", repr(words))


def on_the_page() -> str:
    """Return the module of the page's section on who leaves."""
    page = (ROOT / "docs" / "adding-a-provider.md").read_text()
    (module,) = re.findall(r"## Who leaves\n.*?```python\n(.*?)```", page, re.DOTALL)
    return str(module)


async def run(folder: Path, module: str, tests: str) -> str:
    """Install a module with a provider beside the example, and run tests of it."""
    (folder / "acme_with_removals.py").write_text(module)
    (folder / "test_acme.py").write_text(tests)
    environment = installed_at(folder, "acme_with_removals:AcmeWithRemovals", EXAMPLE, BY_HAND)
    return await suite(folder, folder / "test_acme.py", environment)


async def test_the_page_s_removal_passes_the_suite_beside_a_stand_in(tmp_path: Path) -> None:
    output = await run(tmp_path, on_the_page(), STAND_IN.replace("BROKEN", "mine -= gone"))
    assert re.search(r"2\d passed", output)


async def test_an_audience_that_must_keep_some_members_is_filled_with_them_first(tmp_path: Path) -> None:
    module = on_the_page().replace("Removal(says", "Removal(keeps=40, says")
    broken = "if len(mine - gone) < 40: return web.Response(status=400)\n            mine -= gone"
    assert re.search(
        r"2 passed", await run(tmp_path, module, STAND_IN.replace("BROKEN", broken) + only("gone", "leave_in"))
    )


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("pass", "test_removed_people_are_gone"),
        ("mine.clear()", "test_removed_people_are_gone"),
        ("mine -= set(sorted(gone)[:900])", "test_as_many_people"),
    ],
)
async def test_a_removal_that_takes_out_too_few_or_too_many_fails_the_suite(
    tmp_path: Path, broken: str, told: str
) -> None:
    with pytest.raises(AssertionError, match=f"(?s)FAILED.*{told}"):
        await run(tmp_path, on_the_page(), STAND_IN.replace("BROKEN", broken) + only(told))


QUOTING = """
    right = remove

    async def remove(self, audience_id, rows):
        from audience.provider import PlatformError

        try:
            return await self.right(audience_id, rows)
        except PlatformError as error:
            raise type(error)(error.code, request_id="quoted-person@example.com") from None
"""
FAULTS = {
    "a row for anybody": (
        "    def removal_row(self, user):\n        return user.email or ''\n",
        "nothing_of_what_was_bought",
    ),
    "what was bought": ("    def removal_row(self, user):\n        return str(user.purchase)\n", "of_what_was_bought"),
    "an error that quotes": (QUOTING, "quotes_nothing"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_removal_that_breaks_a_rule_fails_without_any_stand_in(tmp_path: Path, fault: str) -> None:
    code, told = FAULTS[fault]
    with pytest.raises(AssertionError, match=f"(?s)FAILED.*{told}"):
        await run(tmp_path, f"{on_the_page()}\n{code}", OF_THE_CLASS + only(told))


async def test_a_removal_s_rows_by_hand_work_beside_an_addition_s_by_hand(tmp_path: Path) -> None:
    by_hand = on_the_page().replace("from audience_acme import Acme", "from audience_by_hand import Acme")
    by_hand = by_hand.replace("self.body.filled(rows, audience_id=audience_id)", "rows")
    rows = "\n    def removal_row(self, user):\n        return self.row(user)\n"
    assert re.search(
        r"[4-9] passed", await run(tmp_path, by_hand + rows, OF_THE_CLASS + only("remov", "leave", "quotes"))
    )
