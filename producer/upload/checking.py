"""From a form to a batch, its users and what is asked for: everything that can be wrong with an upload by itself."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from multidict import MultiMapping

from ledger.view_updater import Following
from producer.answers import Refused, corrupted, no_room, no_users, refused
from producer.request.batch_form import BatchForm, parse_batch
from producer.request.body import Form
from producer.request.encoded_users import EncodedUsers, encoded_users
from producer.request.request_form import RequestForm, parse_request, pieces
from producer.request.unknown_names import Ignored
from producer.request.users_json import PayloadError
from producer.upload.removal_readiness import RemovalReadiness
from schemas.avro.blocks import UserBlock
from schemas.records import AudienceBatch
from schemas.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """An upload that passed every check."""

    request: RequestForm
    batch: AudienceBatch
    """Without its users."""
    blocks: Sequence[UserBlock]
    """Its users."""
    ignored: tuple[Ignored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Checks uploads by the rules of the endpoint and by what this server can answer now."""

    targets: Sequence[Target]
    max_users: int
    following: Following
    removals: RemovalReadiness

    async def check(self, form: Form, query: MultiMapping[str]) -> Checked:
        """Check a form; where that fails, once more with text of no charset read as ISO-8859-1. Raises Refused."""
        try:
            checked = await self._checked(form, query)
        except Refused:
            other = form.in_latin_1()
            if other is None:
                raise
            checked = await self._checked(other, query)
        self._check_view(checked.request)
        return checked

    async def _checked(self, form: Form, query: MultiMapping[str]) -> Checked:
        """Check in the documented order. Raises Refused."""
        batch, unknown = _batch(form)
        users = await _users(form)
        if not users.count:
            raise no_users()
        request, faults = parse_request(form, batch, query, self.targets)
        if request is None:
            raise refused(400, *faults)
        if request.mode == "remove":
            self.removals.check()
        if users.count > self.max_users:
            raise refused(413, f"users: send at most {self.max_users} in a batch")
        ignored = request.ignored + unknown + users.unknown
        return Checked(request=request, batch=_record(request, batch), blocks=users.blocks, ignored=ignored)

    def _check_view(self, request: RequestForm) -> None:
        """Let only those in whose answer can be told: sent again and again, each would be written. Raises Refused."""
        if request.sync and self.following.absence is not None:
            raise no_room(f"sync: {self.following.absence}")


def _batch(form: Form) -> tuple[BatchForm, tuple[Ignored, ...]]:
    try:
        return parse_batch(_required("batch", form))
    except PayloadError as error:
        raise _wrong("batch", form, error) from None


async def _users(form: Form) -> EncodedUsers:
    try:
        return await encoded_users(_required("users", form))
    except PayloadError as error:
        raise _wrong("users", form, error) from None


def _required(part: str, form: Form) -> bytes:
    """Return what a part holds. Raises Refused."""
    if part not in form.parts:
        raise corrupted(f"{part}: missing{pieces(part, form)}")
    return form.parts[part]


def _wrong(part: str, form: Form, error: PayloadError) -> Refused:
    return corrupted(f"{error}{pieces(part, form)}")


def _record(request: RequestForm, batch: BatchForm) -> AudienceBatch:
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
        users=[],
        mode=request.mode,
    )
