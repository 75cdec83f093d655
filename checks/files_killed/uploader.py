"""The process that is ended: uploads a file, and says on its output what it sends and what was acknowledged."""

import argparse
import asyncio
import sys
from pathlib import Path

from audience_client.http.async_client import AsyncClient
from audience_client.http.batches import Accepted, BatchToSend
from audience_client.http.retry import Retry
from audience_client.upload.engine import upload
from audience_client.upload.options import UploadOptions
from audience_client.upload.outcome import wait_for_outcome
from audience_client.upload.prepare import prepare
from audience_client.upload.progress import Progress

INTERRUPTED = 130


class _Telling(AsyncClient):
    async def send_batch(self, batch: BatchToSend) -> Accepted:
        """Send a batch; say so before and after."""
        _say("sends", batch.sequence)
        accepted = await super().send_batch(batch)
        _say("acknowledged", batch.sequence)
        return accepted


def main() -> None:
    """Upload, and exit as a command does: 0, or 130 where it was interrupted."""
    options = _parser().parse_args()
    try:
        asyncio.run(_upload(options))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


async def _upload(options: argparse.Namespace) -> None:
    _say("reads", 0)
    size = UploadOptions(name=options.name, batch_size=options.batch_size)
    with prepare(options.file, size) as prepared:
        async with _Telling(options.url, retry=Retry(give_up_after=None)) as client:
            uploaded = await upload(
                prepared,
                client=client,
                resume=options.resume or None,
                state_folder=options.states,
                on_progress=_tell,
            )
            outcome = await wait_for_outcome(uploaded, client, timeout=options.wait)
            uploaded.forget()
            _say("session", uploaded.session_id)
            _say("success", int(outcome.is_success))


def _tell(progress: Progress) -> None:
    _say("users", progress.users)


def _say(word: str, number: int) -> None:
    sys.stdout.write(f"{word} {number}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.files_killed.uploader")
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--states", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--wait", type=float, required=True)
    parser.add_argument("--resume", action="store_true")
    return parser


if __name__ == "__main__":
    main()
