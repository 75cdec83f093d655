"""The console in a real browser: every page readable by everybody, in any state, and up to date without reload."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files

import pytest
from console_world import HOSTILE, LONGEST, MARKUP, RIGHT_TO_LEFT, Reports, console_world, many, whole
from playwright.async_api import Browser, Page, async_playwright
from tools import needs
from world import World

from streams.client.settings import KafkaSettings

pytestmark = needs("chromium")

PAGES = ("/", "/sessions", "/sessions/autumn-26", "/accounts", "/audiences", "/dead-letters", "/decisions", "/upload")
EMPTY = tuple(path for path in PAGES if path not in ("/sessions/autumn-26", "/upload"))
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WRONG = ("/sessions/none", "/sessions?cursor=none")
"""What is answered by 404 and by 400."""

ROWS = "main table tbody tr"


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield found
        await found.close()


@pytest.fixture(scope="module")
async def told(kafka: KafkaSettings) -> AsyncIterator[World]:
    """A server of which everything is told, good and bad, with names that nobody should have."""
    async with console_world(kafka) as found:
        reports = Reports(found.names.batches)
        whole(reports)
        await reports.tell(found)
        yield found


@pytest.fixture(scope="module")
async def empty(kafka: KafkaSettings) -> AsyncIterator[World]:
    """A server of which nothing is told yet."""
    async with console_world(kafka) as found:
        yield found


@dataclass(slots=True)
class Tab:
    """An open page, and what the browser complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def violations(self) -> list[str]:
        """Return what axe-core finds, by rule and place."""
        script = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
        await self.page.evaluate(script)
        found = await self.page.evaluate("tags => axe.run(document, {runOnly: tags})", TAGS)
        return [f"{one['id']}: {[node['target'] for node in one['nodes']][:3]}" for one in found["violations"]]

    async def is_too_wide(self) -> bool:
        """Tell whether the page is wider than its window."""
        wide: bool = await self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return wide


@asynccontextmanager
async def tab(browser: Browser, width: int = 1280, *, is_dark: bool = False) -> AsyncIterator[Tab]:
    """Open a tab of its own, in Berlin's time."""
    context = await browser.new_context(
        color_scheme="dark" if is_dark else "light",
        viewport={"width": width, "height": 900},
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
        locale="en-GB",
    )
    found = Tab(await context.new_page())
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    try:
        yield found
    finally:
        await context.close()


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_everybody_can_read_every_page_whatever_it_tells(browser: Browser, told: World, is_dark: bool) -> None:
    async with tab(browser, is_dark=is_dark) as found:
        for path in (*PAGES, "/sessions/31", "/sessions/20", *WRONG, "/sessions?search=none"):
            await found.page.goto(f"{told.url}{path}")
            assert await found.violations() == [], path
            assert await found.page.locator("h1").count() == 1
        statuses = [status for one in found.complaints for status in ("404", "400") if status in one]
        assert (statuses, len(found.complaints)) == (["404", "400"], 2)


async def test_everybody_can_read_every_page_that_has_nothing_to_tell(browser: Browser, empty: World) -> None:
    async with tab(browser) as found:
        for path in EMPTY:
            await found.page.goto(f"{empty.url}{path}")
            assert await found.violations() == [], path
            assert await found.page.locator(".empty, .calm, .account").count() > 0, path
        assert found.complaints == []


@pytest.mark.parametrize("width", [360, 768, 3840])
async def test_no_page_is_wider_than_its_window(browser: Browser, told: World, width: int) -> None:
    async with tab(browser, width) as found:
        for path in PAGES:
            await found.page.goto(f"{told.url}{path}")
            assert not await found.is_too_wide(), path
        assert found.complaints == []


async def test_names_are_shown_as_they_are_and_do_nothing(browser: Browser, told: World) -> None:
    async with tab(browser) as found:
        await found.page.goto(f"{told.url}/sessions")
        for name in HOSTILE:
            assert await found.page.locator("tbody th bdi", has_text=name).count() == 1
        for name in (RIGHT_TO_LEFT, LONGEST, MARKUP):
            await found.page.goto(f"{told.url}/sessions")
            await found.page.locator("tbody th a", has_text=name).click()
            assert await found.page.locator("h1").text_content() == name
            assert await found.violations() == []
            await found.page.set_viewport_size({"width": 360, "height": 800})
            assert not await found.is_too_wide()
            await found.page.set_viewport_size({"width": 1280, "height": 900})
        for path in ("/", "/audiences", "/dead-letters", "/decisions"):
            await found.page.goto(f"{told.url}{path}")
            for name in HOSTILE:
                assert await found.page.locator("bdi", has_text=name).count() > 0, path
            assert await found.page.locator("main script, main b").count() == 0
        assert found.complaints == []


async def test_the_grid_of_batches_is_a_table_to_who_cannot_see_it_and_to_who_asks(
    browser: Browser, told: World
) -> None:
    async with tab(browser) as found:
        await found.page.goto(f"{told.url}/sessions/autumn-26")
        grid = found.page.get_by_role("table", name="Batches by sequence")
        for _ in ("grid", "table"):
            assert await grid.get_by_role("row").count() == 43
            assert await grid.get_by_role("columnheader").count() == 6
            odd = grid.get_by_role("row").filter(has_text="contradictory")
            assert await odd.get_by_role("cell").all_text_contents() == (
                ["Delivered", "contradictory", "500", *(await odd.get_by_role("cell").all_text_contents())[3:]]
            )
            for word in ("Missing", "late", "repeated"):
                assert await grid.get_by_role("row").filter(has_text=word).count() == (2 if word == "Missing" else 1)
            await found.page.get_by_label("Table").check()
        box = await grid.get_by_role("columnheader", name="Batch id").bounding_box()
        assert box is not None
        assert box["width"] > 40


async def test_times_are_told_in_utc_and_as_the_reader_s_own(browser: Browser, told: World) -> None:
    async with tab(browser) as found:
        await found.page.goto(f"{told.url}/sessions/20")
        moment = found.page.locator("dl.lead .moment").first
        assert await moment.locator("time").text_content() != await moment.locator(".local").text_content()
        hour = int((await moment.locator("time").text_content() or "")[11:13])
        local = await moment.locator(".local").text_content() or ""
        assert f"{(hour + 1) % 24:02}:" in local or f"{(hour + 2) % 24:02}:" in local


async def test_every_page_can_be_gone_through_by_the_keyboard(browser: Browser, told: World) -> None:
    async with tab(browser) as found:
        await found.page.goto(f"{told.url}/")
        await found.page.keyboard.press("Tab")
        assert await found.page.evaluate("document.activeElement.className") == "skip"
        await found.page.keyboard.press("Enter")
        await found.page.keyboard.press("Tab")
        assert await found.page.evaluate("document.activeElement.closest('main') !== null")


async def test_a_page_without_scripts_tells_the_same(browser: Browser, told: World) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{told.url}/sessions/autumn-26")
    assert await page.locator(".funnel").count() == 3
    assert await page.locator(".grid tbody tr").count() == 42
    await context.close()


async def test_what_happens_appears_without_reload_and_what_has_the_focus_keeps_it(
    browser: Browser, kafka: KafkaSettings
) -> None:
    async with console_world(kafka) as world, tab(browser) as found:
        reports = Reports(world.names.batches)
        first = reports.batch("Live", 100, session_id="9", total_batches=2, total_users=200)
        await reports.tell(world)
        await found.page.goto(f"{world.url}/sessions/9")
        await found.page.evaluate("window.isTheSame = true")
        await found.page.locator(".crumb a").focus()
        assert await found.page.locator("h1 + span .state").text_content() == "Batches missing"
        second = reports.batch("Live", 100, 50, session_id="9", sequence=2, total_batches=2, total_users=200)
        for batch in (first, second):
            for provider in ("facebook", "tiktok", "klaviyo"):
                reports.end(batch, provider)
        await reports.tell(world)
        await found.page.locator("h1 + span .state.is-delivered").wait_for()
        await found.page.locator("#said", has_text="Delivered").wait_for(state="attached")
        assert await found.page.evaluate("window.isTheSame && document.activeElement.matches('.crumb a')")
        assert await found.page.locator("[data-figure='facebook.accepted']").text_content() == "200"
        assert found.complaints == []


async def test_ten_tabs_of_a_browser_are_all_kept_up_to_date(browser: Browser, kafka: KafkaSettings) -> None:
    async with console_world(kafka) as world:
        context = await browser.new_context()
        tabs = [await context.new_page() for _ in range(10)]
        await asyncio.gather(*(one.goto(f"{world.url}/sessions") for one in tabs))
        reports = Reports(world.names.batches)
        reports.batch("Ten tabs", 10, total_users=10)
        await reports.tell(world)
        await asyncio.gather(*(one.locator(ROWS).wait_for() for one in tabs))
        await context.close()


async def test_ten_thousand_sessions_are_searched_filtered_and_paged(browser: Browser, kafka: KafkaSettings) -> None:
    async with console_world(kafka) as world, tab(browser) as found:
        reports = Reports(world.names.batches, now=Reports("").now - timedelta(hours=1))
        many(reports)
        await reports.tell(world)
        await found.page.goto(f"{world.url}/sessions")
        assert await found.page.locator(ROWS).count() == 50
        await found.page.get_by_role("link", name="Older").click()
        assert await found.page.locator(f"{ROWS} .code").first.text_content() == "s9949"
        await found.page.get_by_label("Search").fill("s77")
        await found.page.get_by_role("button", name="Show").click()
        assert await found.page.locator(f"{ROWS} .code").all_text_contents() == ["s77"]
        for path in EMPTY:
            await found.page.goto(f"{world.url}{path}")
            assert not await found.is_too_wide(), path
            assert path == "/decisions" or await found.violations() == [], path
        assert found.complaints == []
