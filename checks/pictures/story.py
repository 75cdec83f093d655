"""A day of made-up lists, good and bad, and the pages that tell of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from playwright.async_api import Page

from checks.pictures.camera import LOW, NARROW, Camera
from checks.pictures.stage import Batch, Stage, people, with_mistakes

CATALOGUE, LOYALTY = 2611, 2607
MISSING, LATE = (12, 31), 9
"""Sequences of the catalogue's session that never come, and that come last."""

THROTTLED = 900
"""Seconds that a platform asks to wait."""


async def bring_about(stage: Stage) -> None:
    """Let all of it happen, and wait until the pages can tell it."""
    await _newsletter(stage)
    await _dead_letters(stage)
    await _catalogue(stage)
    await _until(stage, CATALOGUE, lambda run: not any(target["state"] == "waiting" for target in run["targets"]))
    await stage.fail(provider="klaviyo", fault="throttled", untilCleared=True, seconds=THROTTLED)
    await _part_of(stage, "Loyalty programme", LOYALTY, 300, range(1, 10), 12)
    await _until_account(stage, "klaviyo", "throttled")
    await stage.fail(provider="facebook", fault="auth", untilCleared=True)
    await _part_of(stage, "Store visitors", 2608, 250, range(1, 5), 4)
    await _until_account(stage, "facebook", "blocked")


async def _part_of(
    stage: Stage, name: str, session_id: int, size: int, sequences: Sequence[int], total_batches: int
) -> None:
    for sequence in sequences:
        users = people(size, size * sequence)
        batch = Batch(
            session_id=session_id, sequence=sequence, total_batches=total_batches, total_users=size * total_batches
        )
        await stage.upload(name, users, batch)


async def _newsletter(stage: Stage) -> None:
    """Add people, and take some of them out again."""
    await _part_of(stage, "Newsletter", 2601, 400, range(1, 7), 6)
    await _until(stage, 2601, lambda run: run["state"] == "delivered")
    batch = Batch(session_id=2602, sequence=1, total_batches=1, total_users=40)
    await stage.upload("Newsletter", people(40, 400), batch, mode="remove")
    await _until(stage, 2602, lambda run: run["state"] == "delivered")


async def _dead_letters(stage: Stage) -> None:
    """Let a platform refuse two lists, and send one of them again."""
    for name, session_id in (("Abandoned carts", 2604), ("Trial users", 2605)):
        await stage.fail(provider="tiktok", fault="invalid", untilCleared=True)
        await _part_of(stage, name, session_id, 180, [1], 1)
        await _until(stage, session_id, lambda run: run["state"] == "failed")
        await stage.mend()
    run = await _run(stage, 2604)
    batch_id = run["batches"][0]["batchId"]
    await stage.command("replay", "--batch", batch_id, "--provider", "tiktok", "--only", "failed", "--yes")


async def _catalogue(stage: Stage) -> None:
    """Send many batches: some with mistakes, some never, one late."""
    coming = [number for number in range(1, 41) if number not in (*MISSING, LATE)] + [LATE]
    for number in coming:
        users = people(50, 50 * number)
        wrong = (3, 17) if number % 8 == 0 else ()
        batch = Batch(session_id=CATALOGUE, sequence=number, total_batches=40, total_users=2_000)
        await stage.upload("Autumn catalogue", with_mistakes(users, wrong), batch)


async def _until(stage: Stage, session_id: int, is_so: Callable[[Any], bool]) -> None:
    while not is_so(await _run(stage, session_id)):
        await asyncio.sleep(0.2)


async def _run(stage: Stage, session_id: int) -> Any:
    return (await stage.get(f"/audience/sessions/{session_id}"))["runs"][0]


async def _until_account(stage: Stage, provider: str, state: str) -> None:
    while True:
        found = (await stage.get("/audience/accounts"))["accounts"]
        if any((one["provider"], one["state"]) == (provider, state) for one in found):
            return
        await asyncio.sleep(0.2)


TABLES = ("sessions", "audiences", "accounts", "dead-letters", "decisions")


async def pictures(camera: Camera) -> None:
    """Take a picture of each page, of some in the dark or on a telephone."""
    async with camera.page("/") as page:
        await camera.take(page, "overview")
    for name in TABLES:
        async with camera.page(f"/{name}", height=LOW) as page:
            await camera.take(page, name)
    async with camera.page("/", is_dark=True) as page:
        await camera.take(page, "overview-dark")
    async with camera.page(f"/sessions/{CATALOGUE}") as page:
        await _scroll_to(page, "#batches")
        await camera.take(page, "session-batches")
    async with camera.page(f"/sessions/{CATALOGUE}", NARROW) as page:
        await camera.take(page, "session-narrow")


async def _scroll_to(page: Page, selector: str) -> None:
    await page.locator(selector).evaluate("one => one.scrollIntoView({block: 'start'})")
