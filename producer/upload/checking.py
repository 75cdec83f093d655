"""From a form to a batch and what is asked for: everything that can be wrong with an upload by itself."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from multidict import MultiMapping

from ledger.view_updater import Following
from producer.answers import Refused, corrupted, no_room, no_users, refused
from producer.request.batch_form import BatchForm, parse_batch
from producer.request.body import Form
from producer.request.request_form import RequestForm, parse_request, pieces
from producer.request.unknown_names import Ignored
from producer.request.users_json import PayloadError, Users, parse_users
from schemas.records import AudienceBatch
from schemas.target import Target

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An upload that passed every check."""

    request: RequestForm
    batch: AudienceBatch
    ignored: tuple[Ignored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Checks uploads by the rules of the endpoint and by what this server can answer now."""

    targets: Sequence[Target]
    max_users: int
    following: Following

    def check(self, form: Form, query: MultiMapping[str]) -> Checked:
        """Check a form; where that fails, once more with text of no charset read as ISO-8859-1. Raises Refused."""
        try:
            checked = self._checked(form, query)
        except Refused:
            other = form.in_latin_1()
            if other is None:
                raise
            checked = self._checked(other, query)
        self._check_view(checked.request)
        return checked

    def _checked(self, form: Form, query: MultiMapping[str]) -> Checked:
        """Check in the documented order. Raises Refused."""
        batch, unknown = _parsed("batch", form, parse_batch)
        users = _parsed("users", form, parse_users)
        if not users.users:
            raise no_users()
        request, faults = parse_request(form, batch, query, self.targets)
        if request is None:
            raise refused(400, *faults)
        if len(users.users) > self.max_users:
            raise refused(413, f"users: send at most {self.max_users} in a batch")
        ignored = request.ignored + unknown + users.unknown
        return Checked(request=request, batch=_record(request, batch, users), ignored=ignored)

    def _check_view(self, request: RequestForm) -> None:
        """Let only those in whose answer can be told: sent again and again, each would be written. Raises Refused."""
        if request.sync and self.following.absence is not None:
            raise no_room(f"sync: {self.following.absence}")


def _parsed(part: str, form: Form, parse: Callable[[bytes], T]) -> T:
    """Return a required part as what it holds. Raises Refused."""
    if part not in form.parts:
        raise corrupted(f"{part}: missing{pieces(part, form)}")
    try:
        return parse(form.parts[part])
    except PayloadError as error:
        raise corrupted(f"{error}{pieces(part, form)}") from None


def _record(request: RequestForm, batch: BatchForm, users: Users) -> AudienceBatch:
    return AudienceBatch(
        batch_id=str(uuid.uuid4()),
        session_id=batch.session_id,
        sequence=batch.sequence,
        total_batches=batch.total_batches,
        total_users=batch.total_users,
        pull_date=batch.pull_date,
        name=request.name,
        type=request.type,
        disable_prefix=request.disable_prefix,
        channels=request.channels,
        accepted_at=datetime.now(UTC),
        users=users.users,
    )
