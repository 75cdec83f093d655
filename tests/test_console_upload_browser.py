"""The console's page for uploads in a real browser: chosen or dropped, looked at, changed, sent, and followed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from console_world import LONGEST, MARKUP, console_world
from playwright.async_api import Browser, Page
from test_console import TOKENS
from test_console_browser import Tab, browser, tab
from tools import needs
from world import World

from streams.client.settings import KafkaSettings

__all__ = ["browser"]

pytestmark = needs("chromium")

CONTENT = "E-Mail,Kundenname,Passwort\nada@example.com,Ada Lovelace,x\nno address,Nobody,y\n"
FILE = "input[name=file]"
SEND = "button[value=send]"


@pytest.fixture(scope="module")
async def served(kafka: KafkaSettings) -> AsyncIterator[World]:
    """A server of which nothing is told yet."""
    async with console_world(kafka) as found:
        yield found


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    """A file as a shop exports it."""
    path = tmp_path / "customers.csv"
    path.write_text(CONTENT, encoding="utf-8")
    return path


async def looked_at(page: Page, world: World, file: Path, name: str = "VIP customers") -> None:
    """Choose a file and look at it."""
    await page.goto(f"{world.url}/upload")
    await page.set_input_files(FILE, file)
    await page.get_by_label("Audience").fill(name)
    await page.get_by_role("button", name="Look at it").click()
    await page.locator("#looked").wait_for()


async def accessible(found: Tab) -> None:
    """Fail where somebody can't read the page, or it is wider than its window."""
    assert await found.violations() == []
    assert not await found.is_too_wide()


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
async def test_a_file_is_looked_at_changed_sent_and_leads_to_its_session(
    browser: Browser,
    served: World,
    customers: Path,
    is_dark: bool,
) -> None:
    async with tab(browser, 360 if is_dark else 1280, is_dark=is_dark) as found:
        page = found.page
        await page.goto(f"{served.url}/")
        await page.get_by_role("link", name="Upload", exact=True).click()
        await looked_at(page, served, customers)
        assert await page.evaluate("document.activeElement.id") == "looked"
        assert await page.locator("[data-figure='facebook.usable']").text_content() == "1"
        assert await page.locator("#sending").is_hidden()
        await page.get_by_label("Kundenname").select_option("name")
        assert await page.locator(SEND).is_disabled()
        assert await page.locator("#stale").is_visible()
        await page.get_by_role("button", name="Look again").click()
        await page.locator(f"{SEND}:enabled").wait_for()
        await page.locator("details summary").last.click()
        assert "Lovelace" in (await page.locator("#look pre").last.text_content() or "")
        await accessible(found)
        await page.locator(SEND).click()
        await page.wait_for_url("**/sessions/*")
        assert await page.locator("h1").text_content() == "VIP customers"
        assert found.complaints == []


async def test_what_was_dropped_is_looked_at_as_what_was_chosen(
    browser: Browser,
    served: World,
) -> None:
    async with tab(browser) as found:
        page = found.page
        await page.goto(f"{served.url}/upload")
        dropped = await page.evaluate_handle(
            """content => {
                const dropped = new DataTransfer();
                dropped.items.add(new File([content], "dropped.csv"));
                return dropped;
            }""",
            CONTENT,
        )
        for kind in ("dragover", "drop"):
            await page.dispatch_event(".drop", kind, {"dataTransfer": dropped})
        await page.get_by_label("Audience").fill("Dropped")
        await page.keyboard.press("Enter")
        await page.locator("#looked").wait_for()
        assert "dropped.csv: CSV, 2 rows" in await page.locator("#look").inner_text()
        assert found.complaints == []


async def test_what_can_t_be_done_is_told_and_read_by_everybody(
    browser: Browser,
    served: World,
    tmp_path: Path,
) -> None:
    async with tab(browser, 360) as found:
        names = tmp_path / "names.csv"
        names.write_text(f"First Name,{LONGEST},{MARKUP}\nAda,x,y\n", encoding="utf-8")
        (tmp_path / "empty.csv").write_bytes(b"")
        for file, said in (("names.csv", "no column is known to hold"), ("empty.csv", "is empty")):
            await looked_at(found.page, served, tmp_path / file, MARKUP)
            assert said in await found.page.locator(".problem-text").inner_text()
            assert await found.page.locator(SEND).count() == 0
            await accessible(found)
        large = tmp_path / "large.csv"
        with large.open("wb") as content:
            content.truncate(70 << 20)
        asked: list[str] = []
        found.page.on("request", lambda request: asked.append(request.method))
        await looked_at(found.page, served, large)
        assert "audience upload FILE" in await found.page.locator("#look").inner_text()
        assert "POST" not in asked
        await accessible(found)


async def test_where_the_server_goes_away_the_same_can_be_sent_again_and_counts_once(
    browser: Browser,
    served: World,
    customers: Path,
) -> None:
    async with tab(browser) as found:
        page = found.page
        await looked_at(page, served, customers, "Sent again")
        await page.route("**/upload/send", lambda route: route.abort())
        await page.locator(SEND).click()
        await page.locator("#ended-early").wait_for()
        assert "The connection to the server ended" in await page.locator("#ended-early").inner_text()
        await accessible(found)
        await page.unroute("**/upload/send")
        await page.locator(SEND).click()
        await page.wait_for_url("**/sessions/*")
        assert await page.locator("[data-figure='users']").text_content() == "2"


async def test_a_file_that_is_saved_anew_is_asked_for_again_and_nothing_of_it_is_sent(
    browser: Browser,
    served: World,
    customers: Path,
) -> None:
    async with tab(browser) as found:
        page = found.page
        await looked_at(page, served, customers, "Saved anew")
        await asyncio.to_thread(customers.write_text, f"{CONTENT}alan@example.com,Alan,z\n", encoding="utf-8")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.method))
        for button in (SEND, "#look button[value=look]"):
            await page.locator(button).click()
            await page.locator(".problem-text", has_text="choose it again").wait_for()
        assert "POST" not in asked
        await looked_at(page, served, customers, "Saved anew")
        assert "3 rows" in await page.locator("#look").inner_text()


async def test_who_was_signed_out_stays_on_the_page_and_goes_on_once_signed_in(
    browser: Browser,
    kafka: KafkaSettings,
    customers: Path,
) -> None:
    async with console_world(kafka, settings=TOKENS) as world, tab(browser) as found:
        page = found.page
        await page.goto(f"{world.url}/sign-in")
        await page.get_by_label("Token").fill("made-up")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{world.url}/")
        cookies = await page.context.cookies()
        await looked_at(page, world, customers, "Signed out")
        await page.context.clear_cookies()
        await page.locator(SEND).click()
        assert "signed out" in await page.locator("#ended-early").inner_text()
        await page.context.add_cookies([{**one} for one in cookies])  # type: ignore[typeddict-item] # as they came
        await page.locator(SEND).click()
        await page.wait_for_url("**/sessions/*")


async def test_without_scripts_a_file_is_chosen_twice_and_uploaded(
    browser: Browser,
    served: World,
    customers: Path,
) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await looked_at(page, served, customers, "Without scripts")
    await page.set_input_files(FILE, customers)
    await page.locator(SEND).click()
    await page.wait_for_url("**/sessions/*")
    assert await page.locator("h1").text_content() == "Without scripts"
    await context.close()
