"""The whole job: read, map, show, ask, send, wait, and say what became of it."""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from audience_client.command.choices import (
    check_together,
    waits,
)
from audience_client.command.mapping_shown import counted
from audience_client.command.outcome_shown import outcome_lines, outcome_object, sent_line
from audience_client.command.progress_line import ProgressLine
from audience_client.command.reading import prepared_file
from audience_client.command.terminal import Terminal, this_terminal
from audience_client.errors import AudienceError, InputError, quoted
from audience_client.http.async_client import AsyncClient
from audience_client.http.errors import NotKnownError
from audience_client.http.retry import Retry
from audience_client.upload.engine import UnfinishedUploadError, Uploaded, upload
from audience_client.upload.outcome import Outcome, wait_for_outcome, write_rejected
from audience_client.upload.prepare import Prepared
from audience_client.upload.progress import Progress

SUCCESS, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

FIRST_CONTACT = Retry(give_up_after=10.0)
"""Who begins an upload waits at the terminal; once it has begun, an outage is waited for."""

FOR_EVER = Retry(give_up_after=None)

DryRun = Callable[[Sequence[Prepared]], Awaitable[None]]
"""Prints what an upload would become, instead of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where lists are sent; None leaves it to AUDIENCE_URL and AUDIENCE_TOKEN."""

    url: str | None
    token: str | None = field(default=None, repr=False)

    def client(self, retry: Retry) -> AsyncClient:
        """Return a client that tries for so long."""
        return AsyncClient(self.url, token=self.token, retry=retry)


async def run_upload(command: str, options: argparse.Namespace, server: Server, dry_run: DryRun | None = None) -> int:
    """Upload files one after another, each read whole before the first is sent; return the exit code.

    Cancelled, it says what is in the log and how to go on, and raises CancelledError.
    """
    terminal = this_terminal()
    try:
        check_together(options)
        with ExitStack() as opened:
            prepared = [opened.enter_context(await prepared_file(file, options, terminal)) for file in options.files]
            if dry_run is not None:
                await dry_run(prepared)
                return SUCCESS
            return await _Upload(options, server, terminal).run(prepared)
    except InputError as error:
        terminal.say(f"{command}: {error}")
        return WRONG_INPUT
    except AudienceError as error:
        terminal.say(f"{command}: {error}")
        return FAILED


@dataclass(frozen=True, slots=True)
class _Upload:
    """One run of the command, after its files were read."""

    options: argparse.Namespace
    server: Server
    terminal: Terminal

    async def run(self, prepared: Sequence[Prepared]) -> int:
        """Send all files, then wait for the platforms if that is wanted; return the exit code."""
        if not await self._is_wanted(prepared):
            self.terminal.say("Nothing was sent.")
            return FAILED
        async with self.server.client(FOR_EVER) as client:
            uploaded = [await self._sent(one, client) for one in prepared]
            codes = [await self._ended(one, client) for one in uploaded]
        return max(codes)

    async def _is_wanted(self, prepared: Sequence[Prepared]) -> bool:
        """Say what would be sent where, once the server has answered; ask on a terminal."""
        async with self.server.client(FIRST_CONTACT) as client:
            accounts = await _accounts(client)
            users = counted(sum(one.plan.total_users for one in prepared), "user")
            does = f"Take {users} out of" if self.options.mode == "remove" else f"Add {users} to"
            to = ", ".join(self.options.channels or accounts) or "its accounts"
            question = f"{does} {quoted(self.options.name)} at {to} by {client.url}"
        if self.options.yes or not self.terminal.can_ask:
            self.terminal.say(f"{question}.")
            return True
        return await self.terminal.confirms(f"{question}?")

    async def _sent(self, prepared: Prepared, client: AsyncClient) -> Uploaded:
        """Send a file, or the rest of it."""
        resume = True if self.options.resume else False if self.options.new else None
        try:
            return await self._watched(prepared, client, resume)
        except UnfinishedUploadError as error:
            if not self.terminal.can_ask:
                raise
            self.terminal.say(f"{error}")
            return await self._watched(prepared, client, await self._is_resumed())

    async def _is_resumed(self) -> bool:
        return await self.terminal.confirms("Go on with it? (No begins a new upload of all its rows.)")

    async def _watched(self, prepared: Prepared, client: AsyncClient, resume: bool | None) -> Uploaded:
        """Send a file and show how far it is; where that is interrupted, say what is in the log and how to go on."""
        line = ProgressLine(self.terminal.is_shown)
        last: list[Progress] = []

        def show(progress: Progress) -> None:
            last[:] = [progress]
            line.show(progress)

        try:
            return await upload(prepared, client=client, resume=resume, session=self.options.session, on_progress=show)
        except asyncio.CancelledError:
            line.end()
            self.terminal.say(_interrupted(prepared, last[-1] if last else None))
            raise
        except AudienceError:
            line.end()
            if last and last[-1].users:
                self.terminal.say(_interrupted(prepared, last[-1]))
            raise
        finally:
            line.end()

    async def _ended(self, uploaded: Uploaded, client: AsyncClient) -> int:
        """Print what became of a file; return the exit code."""
        if not self.options.json:
            _print(sent_line(uploaded))
        outcome, rejected = await self._outcome(uploaded, client) if waits(self.options) else (None, None)
        if self.options.json:
            _print(msgspec.json.encode(outcome_object(uploaded, outcome, rejected)).decode())
        elif outcome is not None:
            for text in outcome_lines(outcome):
                _print(text)
        if outcome is None:
            return SUCCESS
        uploaded.forget()
        return SUCCESS if outcome.is_success else FAILED

    async def _outcome(self, uploaded: Uploaded, client: AsyncClient) -> tuple[Outcome, int | None]:
        """Return what the platforms did, and how many rejected rows were written, None where that is not wanted."""
        self.terminal.say("Waiting for the platforms; Ctrl-C ends that and loses nothing.")
        outcome = await wait_for_outcome(uploaded, client, timeout=self.options.timeout)
        place = self.options.rejected
        if place is None:
            return outcome, None
        rejected = await write_rejected(uploaded, client, Path(place))
        self.terminal.say(f"{place}: {counted(rejected, 'rejected row')}{', to be corrected' if rejected else ''}")
        return outcome, rejected


async def _accounts(client: AsyncClient) -> list[str]:
    """Return the accounts of the server, which is thereby known to answer and to let us in."""
    try:
        page = await client.accounts()
    except NotKnownError:  # a server before that
        return []
    return [f"{one.provider}/{one.account}" if one.account else one.provider for one in page.accounts]


def _interrupted(prepared: Prepared, last: Progress | None) -> str:
    if last is None or not last.users:
        return f"{prepared.table.name}: nothing is known to be in the log; the same command with --resume goes on"
    return (
        f"{prepared.table.name}: {last.users:,} of {last.total_users:,} users are in the log; "
        "the same command with --resume sends the others"
    )


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
