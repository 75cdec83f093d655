"""`audience rejected`: who of a batch or a session is rejected, as people mend it, also with their ids from the log."""

import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from urllib.parse import quote

import aiohttp
from rich.console import Console

from cli.dead_letters.reader import Post
from cli.printing.tables import print_lines, print_rows
from cli.server_client import Server
from cli.settings.config import Config
from cli.undecodable import Undecodable
from ledger.rejected_csv import COLUMNS, Ids, cells, rejected_csv
from ledger.resources import RejectedPage, RejectedTold, SessionRejectedPage
from schemas.avro.codec import decode_batch_receipt
from schemas.records import Origin
from schemas.validity import is_uuid
from streams.read.consumer_thread import Record
from streams.read.tail import scan

PAGE = 10_000

Page = RejectedPage | SessionRejectedPage


async def print_rejected(options: Namespace, config: Config) -> None:
    """Print all rejected users of a session or a batch, page by page, and how many are listed nowhere.

    Raises StatusError, KafkaUnreachableError, NotAllReadError.
    """
    token = next(iter(config.server.tokens), None)
    count, unlisted, page_number = 0, 0, 0
    async with aiohttp.ClientSession() as session:
        server = Server(url=f"http://{config.server.listen}", token=token, session=session)
        async for page in _pages(server, options.place):
            ids = await _ids(page.rejected, config) if options.with_ids else None
            _print(page, ids, options, is_first=page_number == 0)
            count, unlisted, page_number = count + len(page.rejected), page.unlisted, page_number + 1
    print_lines(_summary(count, unlisted), sys.stderr)


async def _pages(server: Server, place: str) -> AsyncIterator[Page]:
    """Yield the pages of what a batch id, or else a session's id, names."""
    shape: type[Page] = RejectedPage if is_uuid(place) else SessionRejectedPage
    kind = "batches" if shape is RejectedPage else "sessions"
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
        body = await server.get(f"/audience/{kind}/{quote(place, safe='')}/rejected", query)
        page = server.decode(body, shape)
        yield page
        cursor = page.next


def _print(page: Page, ids: Ids | None, options: Namespace, *, is_first: bool) -> None:
    if options.csv:
        sys.stdout.write(rejected_csv(page.rejected, ids, header=is_first))
    elif page.rejected:
        shown = [[*cells(told), *([_id(told, ids)] if ids is not None else [])] for told in page.rejected]
        print_rows([*COLUMNS, *(["edgeTagId"] if ids is not None else [])], shown, Console())
    sys.stdout.flush()


def _id(told: RejectedTold, ids: Ids) -> str:
    return ids.get((told.batch_id, told.index), "")


def _summary(count: int, unlisted: int) -> list[str]:
    lines = [f"{count} rejections are listed." if count else "Nobody is rejected."]
    if unlisted:
        lines.append(f"{unlisted} more are listed nowhere, as a completion has room for a thousand of each record.")
    return lines


async def _ids(rejected: Collection[RejectedTold], config: Config) -> Ids:
    """Return the ids of these users from the log, where they have one and it is still there."""
    wanted: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for told in rejected:
        wanted[told.batch_id, told.part].add(told.index)
    post = Post(kafka=config.kafka, names=config.names, framing=config.framing)
    found: dict[tuple[str, int], str] = {}
    for (batch_id, part), origin in (await _origins(wanted, post)).items():
        content = await post.content(origin)
        batch = content.batch
        if batch is None:
            print_lines([f"Part {part} of batch {batch_id}: {content.trouble}"], sys.stderr)
            continue
        for index in wanted[batch_id, part]:
            user = batch.users[index - batch.first_index]
            found[batch_id, index] = user.edge_tag_id or ""
    return found


async def _origins(wanted: Collection[tuple[str, int]], post: Post) -> Mapping[tuple[str, int], Origin]:
    """Return where these parts of batches stand, by their receipts. Raises NotAllReadError."""
    found: dict[tuple[str, int], Origin] = {}
    undecodable = Undecodable("receipts", post.framing)

    def take(record: Record) -> None:
        receipt = decode_batch_receipt(record.value, post.framing)
        place = (receipt.batch_id or "").lower(), receipt.part or 1
        if place in wanted and receipt.verdict == "valid":
            found[place] = receipt.origin

    await scan(post.kafka, post.names.receipts, undecodable.counted(take))
    print_lines(undecodable.lines(), sys.stderr)
    undecodable.check()
    return found
