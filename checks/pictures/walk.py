"""The way of a stranger who opens the printed URL and has read nothing: each step is checked by what the pages say."""

import csv
from collections.abc import Callable
from pathlib import Path

from playwright.async_api import Page, expect

from checks.pictures.camera import Camera
from checks.pictures.stage import Stage, ensure, people, with_mistakes, write_file

NAME, SECOND = "VIP customers", "Winter sale"
WRONG = (4, 117, 118, 431)
"""Places in the file of people of whom nobody can make anything."""

STEP = 60_000
"""Milliseconds in which a page must say what happened."""

Say = Callable[[str], None]


async def walk(stage: Stage, camera: Camera, say: Say) -> None:
    """Go all of it in one tab, in which no page is loaded anew."""
    users = people(600)
    first, second = stage.folder / "customers.csv", stage.folder / "winter.csv"
    write_file(first, with_mistakes(users, WRONG))
    write_file(second, people(400, 5_000))
    async with camera.page("/") as page:
        await _opens(page, camera)
        say("opens the URL: an empty overview says how to begin")
        await _uploads(page, first, NAME, camera)
        await _watches_it_arrive(page, camera)
        say("uploads a file, after a look at what each platform gets: its page follows it to its end")
        await _compares_figures(stage, page)
        say("every figure of the session is the API's")
        await _finds_the_rejected(page, camera)
        say(f"finds the {len(WRONG)} rejected rows on the page and in the file to download")
        await stage.fail(provider="facebook", fault="auth", untilCleared=True)
        await _uploads(page, second, SECOND)
        await _sees_what_to_do(page, camera)
        say("breaks a platform: the overview says that it is blocked, why, what to do, and what to type")
        await stage.mend()
        await _sees_it_go_on(page)
        say("mends it: all goes on by itself")


async def _opens(page: Page, camera: Camera) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    await expect(page.locator("[data-live=newest] .empty-title")).to_have_text("No list has been uploaded yet")
    await camera.take(page, "overview-empty")


async def _uploads(page: Page, file: Path, name: str, camera: Camera | None = None) -> None:
    """Choose a file, look at it, and send it; ends on the page of its session."""
    await page.get_by_role("link", name="Upload", exact=True).click()
    await page.set_input_files("input[name=file]", file)
    await page.get_by_label("Audience").fill(name)
    await page.get_by_role("button", name="Look at it").click()
    send = page.locator("button[value=send]:enabled")
    await expect(send).to_be_visible(timeout=STEP)
    if camera is not None:
        await camera.take(page, "upload")
    await send.click()
    await page.wait_for_url("**/sessions/*", timeout=STEP)


async def _watches_it_arrive(page: Page, camera: Camera) -> None:
    await expect(page.get_by_role("heading", level=1)).to_have_text(NAME)
    await page.evaluate("window.isTheSame = true")
    await expect(page.locator("h1 + span .state")).to_have_text("Partly delivered", timeout=STEP)
    await _has_not_been_loaded_anew(page)
    await camera.take(page, "session")


async def _compares_figures(stage: Stage, page: Page) -> None:
    """Compare each figure that has a name with what the API says."""
    session_id = await page.locator("dl.lead bdi.code").first.text_content()
    run = (await stage.get(f"/audience/sessions/{session_id}"))["runs"][0]
    wanted = {"users": run["users"]}
    for target in run["targets"]:
        users = {**target["users"], "uploaded": run["users"], "in_log": target["users"]["inLog"]}
        for step in ("uploaded", "in_log", "sent", "accepted", "matched", "rejected"):
            if users[step] is not None:
                wanted[f"{target['provider']}.{step}"] = users[step]
    shown = {
        str(await one.get_attribute("data-figure")): int((await one.inner_text()).replace(",", ""))
        for one in await page.locator("[data-figure]").all()
    }
    ensure(shown == wanted, f"the page says {shown}, the API {wanted}")


async def _finds_the_rejected(page: Page, camera: Camera) -> None:
    heading = page.get_by_role("heading", name="Rejected users")
    await heading.scroll_into_view_if_needed()
    rows = page.locator("[data-live=rejected] tbody tr")
    places = {int(text) for text in await rows.locator("[data-label=Index]").all_inner_texts()}
    ensure(places == set(WRONG), f"the page lists rows {places}")
    remedies = await rows.locator("[data-label='To do']").all_inner_texts()
    ensure(all(text.strip() for text in remedies), "a rejected row is listed without what to do")
    await heading.evaluate("one => one.scrollIntoView()")
    await camera.take(page, "session-rejected")
    async with page.expect_download() as expected:
        await page.get_by_role("link", name="Download all as CSV").click()
    file = await (await expected.value).path()
    lines = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    ensure({int(line["index"]) for line in lines} == set(WRONG), f"the file has {len(lines)} lines")


async def _sees_what_to_do(page: Page, camera: Camera) -> None:
    await page.get_by_role("link", name="Overview").click()
    await page.evaluate("window.isTheSame = true")
    concern = page.locator(".concern", has_text="facebook is blocked")
    await expect(concern).to_be_visible(timeout=STEP)
    await expect(concern).to_contain_text("goes on by itself")
    await expect(concern.locator("code")).to_have_text("audience check --provider facebook")
    await expect(page.locator("[data-live=running]")).to_contain_text(SECOND, timeout=STEP)
    await _has_not_been_loaded_anew(page)
    await camera.take(page, "overview-blocked")


async def _sees_it_go_on(page: Page) -> None:
    await expect(page.locator("[data-live=needs] .calm")).to_be_visible(timeout=STEP)
    row = page.locator("[data-live=newest] tbody tr", has_text=SECOND)
    await expect(row.locator(".state")).to_have_text("Delivered", timeout=STEP)
    await _has_not_been_loaded_anew(page)


async def _has_not_been_loaded_anew(page: Page) -> None:
    ensure(await page.evaluate("window.isTheSame === true"), "the page was loaded anew")
