"""Files that are uploaded from the console: read by the client's reader, and shown as the providers would send them."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from uuid import UUID

from audience_client.columns.mapping import ColumnMapping
from audience_client.errors import FileError, InputError, MappingError
from audience_client.files.options import ReadOptions
from audience_client.files.reading import read_held
from audience_client.files.table import Table
from audience_client.upload.plan import BATCH, Plan, bytes_of_user, make_plan
from audience_client.upload.rejected_table import as_it_was
from audience_client.users.user_reader import Counted, UserReader
from cli.dry_run.requests import preview
from cli.dry_run.usable_users import Usable, usable_users
from cli.dry_run.verbs import VERBS
from cli.serve.shown_columns import in_words_of_the_page, mapped, mapped_look, unmapped_look
from cli.settings.config import ConfigError, account, load
from cli.settings.environment import Environment
from console.upload.files import (
    AccountLook,
    Choices,
    Look,
    OutgoingBatch,
    People,
    Reason,
    ShownRequest,
    UnusableFileError,
    UploadedFile,
)
from consumer.account.account import Account
from producer.request.users_json import parse_users
from schemas.error_words import VOCABULARY
from schemas.records import AudienceBatch
from schemas.target import Target

HELD = 256 << 20
"""Bytes that a file may become when it is unpacked."""

MOST_ROWS = 3_000_000
"""Rows of a file; one of 64 MiB hardly has as many."""

LOOKED_AT = 20_000
"""Users at the beginning of which it is told what each account could use."""

AT_ONCE = 5_000
SHOWN_USERS = 3
MOST_REASONS = 10


@dataclass(frozen=True, slots=True)
class UploadedFiles:
    """Reads files by the settings of this server; accounts without credentials here have made-up ones."""

    environment: Environment
    max_users: int
    targets: Sequence[Target]
    held: int = HELD

    async def look(self, file: UploadedFile, choices: Choices) -> Look:
        """Read a file whole and say what it would become; close it. Raises UnusableFileError."""
        look, first = await asyncio.to_thread(self._look, file, choices)
        if look.people is None:
            return look
        requests = await _requests(first, self._accounts(), choices)
        accounts = [replace(one, requests=requests[one.account]) for one in look.people.accounts]
        return replace(look, people=replace(look.people, accounts=accounts))

    async def outgoing(self, file: UploadedFile, choices: Choices) -> "OutgoingFile":
        """Read a file whole and cut it into batches. Raises UnusableFileError, and closes it then."""
        return await asyncio.to_thread(self._outgoing, file, choices)

    def _look(self, file: UploadedFile, choices: Choices) -> tuple[Look, bytes]:
        """Return a look without requests, and the first users as JSON."""
        with _in_words_of_the_page(), closing(self._table(file, choices)) as table:
            try:
                mapping = mapped(table, choices)
            except MappingError as error:
                return unmapped_look(table, choices, error), b""
            reader, counted_users, plan = self._planned(table, mapping, choices)
            batches = (batch.users for batch in islice(reader.batches(AT_ONCE), LOOKED_AT // AT_ONCE))
            found = usable_users(batches, self._accounts(), VERBS[choices.mode])
            people = People(
                users=plan.total_users,
                not_consented=counted_users.not_consented,
                batches=plan.total_batches,
                looked_at=min(plan.total_users, LOOKED_AT),
                shown=min(plan.total_users, SHOWN_USERS),
                accounts=[_account_look(name, one) for name, one in found.items()],
            )
            return replace(mapped_look(table, mapping), people=people), next(reader.batches(SHOWN_USERS)).users

    def _outgoing(self, file: UploadedFile, choices: Choices) -> "OutgoingFile":
        with _in_words_of_the_page():
            table = self._table(file, choices)
            try:
                reader, _, plan = self._planned(table, mapped(table, choices), choices)
            except BaseException:
                table.close()
                raise
            return OutgoingFile(table=table, reader=reader, plan=plan)

    def _table(self, file: UploadedFile, choices: Choices) -> Table:
        read = ReadOptions(encoding=choices.encoding, separator=choices.separator, sheet=choices.sheet)
        return as_it_was(read_held(file.name, file.content, self.held, read))

    def _planned(self, table: Table, mapping: ColumnMapping, choices: Choices) -> tuple[UserReader, Counted, Plan]:
        """Count users and cut them into batches. Raises FileError, InputError."""
        if table.row_count > MOST_ROWS:
            raise FileError(table.name, f"has more than {MOST_ROWS:,} rows; upload it by the command instead")
        reader = UserReader(table, mapping, country=choices.country)
        found = reader.count()
        if found.not_consented and not found.users:
            raise FileError(table.name, f"nobody agreed: all {found.not_consented:,} were left out")
        size = self.max_users if self.max_users < BATCH else None
        return reader, found, make_plan(table.name, found.users, size, bytes_of_user(mapping))

    def _accounts(self) -> list[Account]:
        """Return the accounts that this server has. Raises UnusableFileError where a setting of theirs is wrong."""
        try:
            common = load(self.environment).common
            return [account(target, self.environment, common, made_up=True) for target in self.targets]
        except ConfigError as error:
            raise UnusableFileError(f"A setting of this server is wrong, so nothing can be shown: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingFile:
    """A file in memory, cut into batches."""

    table: Table
    reader: UserReader
    plan: Plan

    @property
    def users(self) -> int:
        """How many there are in all."""
        return self.plan.total_users

    @property
    def batches(self) -> int:
        """How many there are."""
        return self.plan.total_batches

    def __iter__(self) -> Iterator[OutgoingBatch]:
        """Yield all batches in order. Raises UnusableFileError."""
        with _in_words_of_the_page():
            for batch in self.reader.batches(self.plan.batch_size):
                yield OutgoingBatch(batch.users, len(batch.rows))

    def close(self) -> None:
        """Let go of the file."""
        self.table.close()


def _account_look(name: str, one: Usable) -> AccountLook:
    return AccountLook(
        account=name,
        users=one.users,
        usable=one.usable,
        rejected=_reasons(one.rejected),
        dropped=_reasons(one.dropped),
        error=Reason(code=one.error, meaning=_meaning(one.error)) if one.error else None,
        requests=(),
    )


def _reasons(counted: Counter[str]) -> list[Reason]:
    most = counted.most_common(MOST_REASONS)
    return [Reason(code=reason, meaning=_meaning(reason), users=count) for reason, count in most]


def _meaning(reason: str) -> str:
    """Return what a reason means, which may stand behind its field."""
    word = VOCABULARY.get(reason.rpartition(": ")[2])
    return word.meaning if word else ""


async def _requests(
    users: bytes, accounts: Sequence[Account], choices: Choices
) -> Mapping[str, Sequence[ShownRequest]]:
    """Return the requests that some users would become, by account, as `audience preview` shows them."""
    batch = AudienceBatch(
        batch_id=str(UUID(int=0)), name=choices.name, type=choices.type, users=parse_users(users).users
    )
    lines: list[bytes] = []
    await preview(batch, accounts, lines.append, verb=VERBS[choices.mode])
    found: dict[str, list[ShownRequest]] = {str(one.target): [] for one in accounts}
    for line in map(json.loads, lines[:-1]):  # the last one sums up
        body = line["body"]
        text = body if isinstance(body, str) else "" if body is None else json.dumps(body, indent=2, ensure_ascii=False)
        shown = ShownRequest(method=line["method"], url=line["url"], body=text)
        found[str(Target(line["provider"], line["account"] or ""))].append(shown)
    return found


@contextmanager
def _in_words_of_the_page() -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise UnusableFileError(in_words_of_the_page(str(error))) from None
