"""The whole job: read, map, show, ask, send, wait, and say what became of it."""

import argparse
import asyncio
import difflib
import errno
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from audience_client.command.choices import (
    check_together,
    waits,
)
from audience_client.command.mapping_shown import counted
from audience_client.command.outcome_shown import outcome_lines, outcome_object, rejected_line, sent_line
from audience_client.command.progress_line import ProgressLine
from audience_client.command.reading import prepared_file
from audience_client.command.terminal import Terminal, this_terminal
from audience_client.command.text_table import printable
from audience_client.errors import AudienceError, InputError, quoted
from audience_client.http.async_client import AsyncServerClient
from audience_client.http.errors import NotKnownError
from audience_client.http.retry import OnWait, Retry
from audience_client.upload.engine import Uploaded, upload
from audience_client.upload.outcome import Outcome, wait_for_outcome
from audience_client.upload.prepare import Prepared
from audience_client.upload.progress import Progress
from audience_client.upload.rejected_rows import RejectedRows, write_rejected
from audience_client.upload.resuming import UnfinishedUploadError, check_unfinished, is_kept, resumable
from audience_client.upload.state import StateFolder, default_folder

SUCCESS, FAILED, WRONG_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes."""

FIRST_CONTACT = Retry(give_up_after=10.0)
"""Who begins an upload waits at the terminal; once it has begun, an outage is waited for."""

FOR_EVER = Retry(give_up_after=None)

OLD_SERVER = (
    "The server is older than this program and does not know how to resume: an upload that is interrupted must go on "
    "within its AUDIENCE_RETRY_WINDOW there."
)

NOTHING_SENT = "Nothing was sent."

DryRun = Callable[[Sequence[Prepared]], Awaitable[None]]
"""Prints what an upload would become, instead of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where lists are sent; None leaves it to AUDIENCE_URL and AUDIENCE_TOKEN."""

    url: str | None
    token: str | None = field(default=None, repr=False)

    def client(self, retry: Retry, on_wait: OnWait | None = None) -> AsyncServerClient:
        """Return a client that tries for so long."""
        return AsyncServerClient(self.url, token=self.token, retry=retry, on_wait=on_wait)


async def run_upload(command: str, options: argparse.Namespace, server: Server, dry_run: DryRun | None = None) -> int:
    """Upload files one after another, each read whole before the first is sent; return the exit code.

    Cancelled, it says what is in the log and how to go on, and raises CancelledError.
    """
    terminal = this_terminal()
    try:
        check_together(options)
        with ExitStack() as opened:
            with _nothing_sent(terminal):
                prepared = [opened.enter_context(await prepared_file(one, options, terminal)) for one in options.files]
            if dry_run is not None:
                await dry_run(prepared)
                return SUCCESS
            return await _Upload(options, server, terminal, ProgressLine(terminal.is_shown)).run(prepared)
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
    line: ProgressLine

    async def run(self, prepared: Sequence[Prepared]) -> int:
        """Send all files, then wait for the platforms if that is wanted; return the exit code."""
        with _nothing_sent(self.terminal):
            is_wanted = await self._is_wanted(prepared)
        if not is_wanted:
            self.terminal.say(NOTHING_SENT)
            return FAILED
        async with self.server.client(FOR_EVER, self.line.wait) as client:
            resumes = [await self._resume(one, client.url) for one in prepared]
            uploaded = [await self._sent(one, client, resume) for one, resume in zip(prepared, resumes, strict=True)]
            outcomes = [await self._ended(one, client) for one in uploaded]
        for one, outcome in zip(uploaded, outcomes, strict=True):
            if outcome is not None and outcome.is_over:
                one.forget()
        return SUCCESS if all(outcome is None or outcome.is_success for outcome in outcomes) else FAILED

    async def _is_wanted(self, prepared: Sequence[Prepared]) -> bool:
        """Say what would be sent where, once the server has answered; ask on a terminal."""
        async with self.server.client(FIRST_CONTACT) as client:
            accounts = await _accounts(client)
            _check_channels(self.options.channels, accounts)
            users = counted(sum(one.plan.total_users for one in prepared), "user")
            is_removal = self.options.mode == "remove"
            to = ", ".join(self.options.channels or accounts) or "its accounts"
            what = f"{users} {'out of' if is_removal else 'to'} {quoted(self.options.name)} at {to}, by {client.url}"
        if self.options.yes or not self.terminal.can_ask:
            self.terminal.say(f"{'Taking' if is_removal else 'Adding'} {what}")
            return True
        return await self.terminal.confirms(f"{'Take' if is_removal else 'Add'} {what}?")

    async def _resume(self, prepared: Prepared, url: str) -> bool | None:
        """Tell whether an earlier try goes on (True), another begins (False), or there is none.

        Of several files those begin that were not begun. Raises InputError before any of them is sent.
        """
        if self.options.new:
            return False
        folder = StateFolder(default_folder())
        if not self.options.resume:
            return await self._asked(prepared, url, folder)
        if len(self.options.files) > 1 and not is_kept(prepared, url, folder):
            return None
        resumable(prepared, url, folder, self.options.session)
        return True

    async def _asked(self, prepared: Prepared, url: str, folder: StateFolder) -> bool | None:
        """Ask what becomes of an earlier try. Raises UnfinishedUploadError where nobody says it."""
        try:
            check_unfinished(prepared, url, folder)
        except UnfinishedUploadError as error:
            if not self.terminal.can_ask:
                raise
            self.terminal.say(str(error))
            if error.can_resume and await self.terminal.confirms("Go on with it?"):
                return True
            if not await self.terminal.confirms("Begin anew, with all rows?", is_usual=False):
                raise
            return False
        return None

    async def _sent(self, prepared: Prepared, client: AsyncServerClient, resume: bool | None) -> Uploaded:
        """Send a file and show how far it is; where that ends early, say what is in the log and how to go on."""
        line = self.line.begin()
        try:
            return await upload(
                prepared, client=client, resume=resume, session=self.options.session, on_progress=line.show
            )
        except (asyncio.CancelledError, AudienceError):
            line.end()
            if line.last is not None:
                self.terminal.say(_how_far(prepared, line.last, can_resume=is_kept(prepared, client.url)))
            raise
        finally:
            line.end()

    async def _ended(self, uploaded: Uploaded, client: AsyncServerClient) -> Outcome | None:
        """Print what became of a file; return it, None where that is not waited for."""
        if not self.options.json:
            _print(sent_line(uploaded))
        outcome, rejected = await self._outcome(uploaded, client) if waits(self.options) else (None, None)
        if not uploaded.knows_resume:
            self.terminal.say(OLD_SERVER)
        if self.options.json:
            _print(msgspec.json.encode(outcome_object(uploaded, outcome, rejected)).decode())
        elif outcome is not None:
            for text in outcome_lines(outcome):
                _print(text)
        if outcome is None:
            self.terminal.say("The same command with --resume --wait says what the platforms made of it.")
        return outcome

    async def _outcome(self, uploaded: Uploaded, client: AsyncServerClient) -> tuple[Outcome, RejectedRows | None]:
        """Return what the platforms did, and what was written of rejected rows if that is wanted."""
        self.terminal.say("Waiting for the platforms; Ctrl-C ends only that.")
        self.line.begin()
        outcome = await wait_for_outcome(uploaded, client, timeout=self.options.timeout)
        self.line.end()
        place = self.options.rejected
        if place is None:
            return outcome, None
        try:
            rejected = await write_rejected(uploaded, client, Path(place))
        except InputError as error:  # by now everything was sent
            raise AudienceError(f"{error}; --resume does so") from None
        self.terminal.say(rejected_line(place, rejected))
        return outcome, rejected


@contextmanager
def _nothing_sent(terminal: Terminal) -> Iterator[None]:
    """Say so where that is interrupted, below a question that may stand there."""
    try:
        yield
    except asyncio.CancelledError:
        if terminal.can_ask:
            terminal.say()
        terminal.say(NOTHING_SENT)
        raise


async def _accounts(client: AsyncServerClient) -> list[str]:
    """Return the accounts of the server, which is thereby known to answer and to let us in."""
    try:
        page = await client.accounts()
    except NotKnownError:  # a server before that
        return []
    return [f"{one.provider}/{one.account}" if one.account else one.provider for one in page.accounts]


def _check_channels(channels: Sequence[str], accounts: Sequence[str]) -> None:
    """Raise InputError where nobody would get the users, before an upload is begun that can't be gone on with."""
    known = list(dict.fromkeys(name for account in accounts for name in (account.partition("/")[0], account)))
    unknown = [channel for channel in channels if channel not in known]
    if unknown and known:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        meant = f"; is {near[0]} meant?" if near else ""
        raise InputError(
            f"--channels: {quoted(unknown[0])} is none of the server's; there are {', '.join(known)}{meant}"
        )


def _how_far(prepared: Prepared, last: Progress, *, can_resume: bool) -> str:
    if not can_resume:
        return f"{prepared.table.name}: nothing of it is in the log"
    return (
        f"{prepared.table.name}: {last.users:,} of {last.total_users:,} users are in the log; "
        "the same command with --resume sends the others"
    )


def _print(line: str) -> None:
    """Write a line to standard output; letters that it has no place for are escaped. Raises BrokenPipeError."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(printable(line).encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EINVAL:  # a pipe that nobody reads any more, on Windows
            raise BrokenPipeError from error
        raise
