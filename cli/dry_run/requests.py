"""The requests that an upload or a removal would become, without sending any."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
from yarl import URL

from cli.dry_run.verbs import VERBS, Verb
from consumer.account.account import Account
from producer.request.unknown_names import Ignored
from providers.kit.errors import RejectError
from providers.kit.http import Answer, Request, Transport
from providers.kit.provider import AnyProvider, Rejection, Surroundings
from providers.kit.rows.rows_per_call import group_rows
from providers.kit.rows.users_to_rows import Rows
from schemas.avro.blocks import user_blocks
from schemas.avro.codec import decode_audience_batch, split
from schemas.records import AudienceBatch

AUDIENCE_ID = "{audience_id}"
"""Stands for the id that a look-up or a creation would have answered."""

HIDDEN = "***"
MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


class _Shown(Exception):  # noqa: N818 -- the end of a call that is only shown, no error
    """The request was noted instead of sent; what would come after an answer is not known."""


def _no_answer(request: Request) -> Answer | None:
    del request
    return None


@dataclass(frozen=True, slots=True)
class _Recorder:
    """A transport that notes requests, and answers none but those for which a placeholder is known."""

    answer_to: Callable[[Request], Answer | None] = _no_answer
    requests: list[Request] = field(default_factory=list)

    async def send(self, request: Request) -> Answer:
        self.requests.append(request)
        answer = self.answer_to(request)
        if answer is None:
            raise _Shown
        return answer


@dataclass(slots=True)
class Summary:
    """What one account could use of the users."""

    users: int = 0
    usable: int = 0
    rejected: list[dict[str, object]] = field(default_factory=list)
    identifiers: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, received: int, made: Rows, identifiers: Callable[[object], Iterable[str]]) -> None:
        """Count the rows of one record."""
        self.users += received
        self.usable += len(made.rows)
        self.rejected += [_rejected(index, rejection) for index, rejection in made.rejected]
        self.repaired += made.repaired
        self.dropped += made.dropped
        for row in made.rows:
            self.identifiers.update(identifiers(msgspec.json.decode(row)))


def _rejected(index: int, rejection: Rejection) -> dict[str, object]:
    return {"index": index, "field": rejection.field, "reason": rejection.reason}


async def preview(
    batch: AudienceBatch,
    accounts: Sequence[Account],
    write: Callable[[bytes], object],
    ignored: Sequence[Ignored] = (),
    verb: Verb = VERBS["add"],
) -> None:
    """Write a line for each request that a batch would become, and one with a summary of all accounts.

    The last line also has the members of users that were ignored; of an account that cannot remove it has that alone.

    The batch is split into records as the endpoint does, and each becomes rows, groups and calls as in a consumer.
    The same input gives the same lines: time stands still, and chance begins anew for each account.
    """
    records = [decode_audience_batch(part.value) for part in split(batch, list(user_blocks(batch.users)))]
    summaries: dict[str, Summary | dict[str, str]] = {}
    for account in accounts:
        recorder, summary = _Recorder(account.kind.placeholder_answer), Summary()
        provider = made_up_provider(account, recorder)
        try:
            async for request in _requests(provider, records, recorder, summary, verb):
                write(_line(account, request))
        except RejectError as error:
            summaries[str(account.target)] = {"error": error.code}
        else:
            summaries[str(account.target)] = summary
    write(msgspec.json.encode({"summary": summaries, "ignored": ignored}) + b"\n")


def made_up_provider(account: Account, transport: Transport | None = None) -> AnyProvider:
    """Return an account's provider that calls nobody, for which time stands still."""
    return account.kind(account.settings, transport or _Recorder(), _surroundings())


def _surroundings() -> Surroundings:
    chance = random.Random(0)  # noqa: S311 -- the same each time is what is wanted

    async def sleep(seconds: float) -> None:
        del seconds

    return Surroundings(now=lambda: MOMENT, sleep=sleep, randbits=chance.getrandbits)


async def _requests(
    provider: AnyProvider, records: Sequence[AudienceBatch], recorder: _Recorder, summary: Summary, verb: Verb
) -> AsyncIterator[Request]:
    """Yield the requests of all records. Raises RejectError(`cannot_remove`) before the first one."""
    audience_id = ""
    for record in records:
        made = Rows()
        for grown in verb.rows(provider, enumerate(record.users, start=record.first_index)):
            made = grown
        summary.add(len(record.users), made, lambda row: verb.identifiers(provider, row))
        if made.rows and not audience_id:
            audience_id = await _audience(provider, record, verb)
        for group in group_rows(made, verb.limits(provider)):
            await _shown(verb.call(provider, audience_id, group.rows))
            for request in recorder.requests:
                yield request
            recorder.requests.clear()


async def _audience(provider: AnyProvider, record: AudienceBatch, verb: Verb) -> str:
    """Look the audience up, and create it if that is what is done; return its id, or what stands for it."""
    name = provider.platform_name(record.name, disable_prefix=record.disable_prefix)
    found = await _shown(provider.find_audience(name))
    if found is None and verb.creates:
        found = await _shown(provider.create_audience(name, record.type))
    return found or AUDIENCE_ID


async def _shown(call: Awaitable[object]) -> str | None:
    """Let a call get as far as its first request; return what it says where it makes none."""
    try:
        said = await call
    except _Shown:
        return None
    return said if isinstance(said, str) else None


def _line(account: Account, request: Request) -> bytes:
    secrets = set(request.secrets)
    query = {name: HIDDEN if name in secrets else value for name, value in request.query.items()}
    url = request.url(account.settings.base_url)
    shown = {
        "provider": account.target.provider,
        "account": account.target.account or None,
        "method": request.method,
        "url": f"{url}?{URL('/').with_query(query).raw_query_string}" if query else url,
        "headers": {name: HIDDEN if name in secrets else value for name, value in request.headers.items()},
        "body": _body(request),
    }
    return msgspec.json.encode(shown) + b"\n"


def _body(request: Request) -> object:
    """Return a body as JSON where it is, a form as an object, None where there is none."""
    kind = request.headers.get("Content-Type", "")
    body = request.whole_body()
    if body is None:
        return None
    if "json" in kind:
        return msgspec.Raw(body)
    if "x-www-form-urlencoded" in kind:
        return dict(_form(body))
    return body.decode(errors="replace")


def _form(body: bytes) -> Iterator[tuple[str, str]]:
    yield from URL.build(path="/", query_string=body.decode(), encoded=True).query.items()
