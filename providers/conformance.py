"""What every provider must keep to, as tests: subclass one of these, name the provider, and run pytest.

    class TestAcme(ProviderConformance):
        kind = Acme

needs no platform. `LiveConformance` also needs something that answers as the platform does; see there. Both want
pytest, pytest-asyncio with `asyncio_mode = "auto"`, and hypothesis.
"""

import contextlib
import hashlib
import itertools
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from providers.installed import installed, open_account, open_session
from providers.kit.call_outcome import Removed
from providers.kit.errors import PlatformError, RejectError, RetryError, StopError, platform_error
from providers.kit.http import Answer, Request
from providers.kit.provider import PREFIX, REAL, AnyProvider, Rejection, Surroundings
from providers.kit.rate_limiter import Pace
from providers.kit.rows.rows_per_call import group_rows
from providers.kit.rows.users_to_rows import make_removal_rows, make_rows
from providers.kit.settings import CREDENTIAL, AccountSettings
from schemas.bounds import MAX_TEXT
from schemas.error_words import VOCABULARY
from schemas.records import AudienceUser, Purchase

FIELDS = {*AudienceUser.__struct_encode_fields__, "purchase.currency", "purchase.profit", "purchase.total7Days", None}
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
GIVEN_HASH = hashlib.sha256(b"person@example.com").hexdigest()
QUOTED = "quoted-person@example.com"
MANY_CALLS = 2000

_texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=30)
_emails = _texts | st.sampled_from([" Person@Example.com ", "nobody", GIVEN_HASH.upper(), "x" * MAX_TEXT])
_phones = _texts | st.sampled_from(["+14155550100", "(415) 555-0100", "0044 20 7946 0958", "+", "+0000000000"])
_countries = _texts | st.sampled_from(["US", "United Kingdom", "DEU", "Atlantis", ""])
_numbers = st.none() | st.floats()
USERS = st.builds(
    AudienceUser,
    edge_tag_id=_texts,
    email=_emails,
    phone=_phones,
    first_name=_texts,
    last_name=_texts,
    country=_countries,
    postal_code=_texts | st.sampled_from(["94107-1234", "SW1A 1AA"]),
    purchase=st.none() | st.builds(Purchase, currency=_texts, profit=_numbers, total_7_days=_numbers),
)
"""Users as awkward as uploads can be."""

_ANSWERS: Sequence[tuple[int, Mapping[str, str], bytes]] = [
    (status, headers, body)
    for status, headers, body in itertools.product(
        (200, 201, 204, 302, 400, 401, 403, 404, 409, 413, 418, 429, 500, 502, 503),
        ({}, {"Retry-After": "soon", "RateLimit-Remaining": "x", "X-App-Usage": "{"}),
        (
            b"",
            b"null",
            b"[]",
            b"{}",
            b"7",
            b'"' + QUOTED.encode() + b'"',
            b"<html>" + QUOTED.encode(),
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"data": null, "error": null, "errors": null, "code": null}',
            b'{"data": [1], "error": {"code": "x"}, "errors": [1], "code": 10}',
            b'{"data": {"list": [{}], "id": 5}, "code": 0, "id": {}}',
            b'{"error": {"code": 1, "message": "' + QUOTED.encode() + b'"}, "code": 49999, "message": "a"}',
            b'{"data": {"id": "1", "attributes": {"status": "' + QUOTED.encode() + b'"}}, "id": "1", "code": 0}',
        ),
    )
]


@dataclass(slots=True)
class _Answering:
    """A transport that answers every request the same, or fails, and keeps what was asked."""

    answer: Answer | PlatformError
    requests: list[Request] = field(default_factory=list)

    async def send(self, request: Request) -> Answer:
        self.requests.append(request)
        assert len(self.requests) < MANY_CALLS, "a provider must not ask for ever"
        if isinstance(self.answer, PlatformError):
            raise self.answer
        return self.answer


class _PreviewEndedError(Exception):
    """A preview goes no further."""


@dataclass(slots=True)
class _Previewing:
    """A transport that goes on after look-ups, with placeholders."""

    kind: type[AnyProvider]
    requests: list[Request] = field(default_factory=list)

    async def send(self, request: Request) -> Answer:
        self.requests.append(request)
        answer = self.kind.placeholder_answer(request)
        if answer is None:
            raise _PreviewEndedError
        return answer


async def _no_sleep(seconds: float) -> None:
    assert 0 <= seconds < 100_000


class ProviderConformance:
    """What can be told without a platform."""

    kind: ClassVar[type[AnyProvider]]
    settings: ClassVar[Mapping[str, str]] = {}
    """Settings besides the examples of the required fields."""

    def made_up_settings(self) -> AccountSettings:
        """Return settings of an account that there is not."""
        fields = self.kind.settings_type.model_fields.items()
        examples = {name: info.examples[0] for name, info in fields if info.is_required() and info.examples}
        return self.kind.settings_type.model_validate({**examples, **self.settings})

    def made(self, answer: Answer | PlatformError | None = None) -> tuple[AnyProvider, _Answering]:
        """Return a provider whose platform always answers the same, without a clock or chance of its own."""
        transport = _Answering(answer or platform_error("no_answer"))
        still = Surroundings(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), sleep=_no_sleep, randbits=lambda _: 7)
        return self.kind(self.made_up_settings(), transport, still), transport

    def test_it_is_installed_under_its_name(self) -> None:
        assert installed()[self.kind.name] is self.kind

    def test_its_settings_say_what_they_are_and_hide_secrets(self) -> None:
        made_up = self.made_up_settings()
        for name, info in type(made_up).model_fields.items():
            assert info.description, name
            assert info.examples or not info.is_required(), f"{name}: give an example"
            if "SecretStr" in str(info.annotation):
                assert info.json_schema_extra == CREDENTIAL, f"{name}: a secret belongs to one account"
        assert not any(secret in repr(made_up) for secret in self.secrets())

    def secrets(self) -> list[str]:
        """Return the values that must not show."""
        made_up = self.made_up_settings()
        values = (getattr(made_up, name) for name in type(made_up).model_fields)
        return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]

    def test_its_limits_and_codes_can_be_worked_with(self) -> None:
        provider, _ = self.made()
        assert provider.limits.rows >= 1
        assert provider.limits.body >= (provider.limits.row or 1)
        assert set(self.kind.codes.values()) <= VOCABULARY.keys()
        assert "upload" in self.kind.rates

    async def test_it_declares_whether_people_can_be_removed_and_says_so_where_they_cannot(self) -> None:
        self.kind.check_declaration()
        provider, transport = self.made()
        if self.kind.removal is not None:
            assert provider.removal_limits.rows >= 1
            assert provider.removal_limits.body >= (provider.removal_limits.row or 1)
            return
        with pytest.raises(RejectError, match="cannot_remove"):
            await provider.remove("1", [msgspec.Raw(b"{}")])
        with pytest.raises(RejectError, match="cannot_remove"):
            provider.removal_row(AudienceUser(email="person@example.com"))
        assert not transport.requests

    def test_its_account_id_is_no_secret(self) -> None:
        provider, _ = self.made()
        assert provider.account_id
        assert provider.account_id not in self.secrets()

    def test_its_names_have_the_prefix_unless_that_is_switched_off(self) -> None:
        provider, _ = self.made()
        assert provider.platform_name("Big spenders", disable_prefix=False) == f"{PREFIX}Big_spenders"
        assert provider.platform_name("Big spenders", disable_prefix=True) == "Big spenders"

    @hypothesis_settings(suppress_health_check=[HealthCheck.differing_executors], deadline=None)
    @given(USERS, USERS)
    @example(AudienceUser(), AudienceUser(email="", phone="+", first_name="-", country=" "))
    def test_a_row_depends_on_its_user_alone_and_a_rejection_says_why(
        self, user: AudienceUser, other: AudienceUser
    ) -> None:
        provider, transport = self.made()
        row = provider.row(user)
        provider.row(other)
        assert msgspec.json.encode(provider.row(user)) == msgspec.json.encode(row)
        assert not transport.requests
        if isinstance(row, Rejection):
            assert row.field in FIELDS
            assert VOCABULARY[row.reason].scope == "row"
        else:
            encoded = msgspec.json.encode(row)
            assert EMPTY_HASH.encode() not in encoded
            assert list(provider.identifiers(msgspec.json.decode(encoded))), "a row without identifiers matches nobody"

    @hypothesis_settings(suppress_health_check=[HealthCheck.differing_executors], deadline=None)
    @given(USERS)
    def test_a_bare_row_is_made_of_the_same_users_and_has_the_same_identifiers(self, user: AudienceUser) -> None:
        provider, _ = self.made()
        row, bare = provider.row(user), provider.bare_row(user)
        if isinstance(row, Rejection) or isinstance(bare, Rejection):
            assert row == bare
        else:
            assert list(provider.identifiers(row)) == list(provider.identifiers(bare))

    @hypothesis_settings(suppress_health_check=[HealthCheck.differing_executors], deadline=None)
    @given(USERS)
    def test_what_a_row_lacks_is_told_by_field_in_words_of_the_vocabulary(self, user: AudienceUser) -> None:
        provider, _ = self.made()
        row = provider.row(user)
        for lost in () if isinstance(row, Rejection) else provider.left_out(user, row):
            assert lost.field in FIELDS
            assert VOCABULARY[lost.reason].scope == "row"

    @hypothesis_settings(suppress_health_check=[HealthCheck.differing_executors], deadline=None)
    @given(USERS)
    @example(AudienceUser(email="person@example.com", purchase=Purchase(currency="USD", profit=5.0, total_7_days=5.0)))
    def test_a_removal_s_row_says_who_somebody_is_and_nothing_of_what_was_bought(self, user: AudienceUser) -> None:
        if self.kind.removal is None:
            return
        provider, transport = self.made()
        row = provider.removal_row(user)
        others = [user, msgspec.structs.replace(user, purchase=Purchase(currency="JPY", profit=9.5, total_7_days=9.5))]
        assert [msgspec.json.encode(provider.removal_row(other)) for other in others] == [msgspec.json.encode(row)] * 2
        assert not transport.requests
        if isinstance(row, Rejection):
            assert row.field in FIELDS
            assert VOCABULARY[row.reason].scope == "row"
        else:
            encoded = msgspec.json.encode(row)
            assert EMPTY_HASH.encode() not in encoded
            assert list(provider.removal_identifiers(msgspec.json.decode(encoded)))

    def test_names_and_places_alone_identify_nobody_who_is_to_leave(self) -> None:
        if self.kind.removal is None:
            return
        provider, _ = self.made()
        placed = AudienceUser(first_name="Ada", last_name="Lovelace", country="US", postal_code="94107")
        assert isinstance(provider.removal_row(placed), Rejection)
        assert isinstance(provider.removal_row(AudienceUser()), Rejection)
        assert not isinstance(provider.removal_row(full_user(1)), Rejection)

    async def test_a_preview_of_a_removal_reaches_the_call_that_removes(self) -> None:
        if self.kind.removal is None:
            return
        previewing = _Previewing(self.kind)
        provider = self.kind(self.made_up_settings(), previewing, REAL)
        with contextlib.suppress(_PreviewEndedError):
            await provider.remove(
                "{audience_id}", [msgspec.Raw(msgspec.json.encode(provider.removal_row(full_user(1))))]
            )
        assert previewing.requests[-1].operation == "remove"

    def test_a_user_without_anything_makes_no_row(self) -> None:
        provider, _ = self.made()
        assert isinstance(provider.row(AudienceUser()), Rejection)
        assert isinstance(provider.row(AudienceUser(email="  ", phone="", edge_tag_id=" ")), Rejection)

    def test_a_hash_is_not_hashed_again(self) -> None:
        provider, _ = self.made()
        row = msgspec.json.encode(provider.row(AudienceUser(email=GIVEN_HASH.upper(), edge_tag_id="edge-1")))
        for spelling in (GIVEN_HASH, GIVEN_HASH.upper()):
            assert hashlib.sha256(spelling.encode()).hexdigest().encode() not in row
        if self.kind.removal is not None:
            leaving = msgspec.json.encode(provider.removal_row(AudienceUser(email=GIVEN_HASH.upper(), edge_tag_id="1")))
            assert hashlib.sha256(GIVEN_HASH.encode()).hexdigest().encode() not in leaving

    def calls(self, provider: AnyProvider) -> Sequence[Callable[[], Awaitable[object]]]:
        """Return the calls of the platform, one after the other."""
        rows = [msgspec.Raw(msgspec.json.encode(provider.row(AudienceUser(email="person@example.com"))))]
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: provider.find_audience("blotout_VIP"),
            lambda: provider.create_audience("blotout_VIP", "custom"),
            lambda: provider.send("1", rows),
        ]
        if self.kind.removal is None:
            return calls
        leaving = [msgspec.Raw(msgspec.json.encode(provider.removal_row(AudienceUser(email="person@example.com"))))]
        return [*calls, lambda: provider.remove("1", leaving)]

    async def test_whatever_the_platform_answers_ends_well_or_in_a_platform_error_that_quotes_nothing(self) -> None:
        errors: list[PlatformError] = []
        for status, headers, body in _ANSWERS:
            provider, _ = self.made(Answer(status=status, headers=headers, body=body))
            for call in self.calls(provider):
                try:
                    await call()
                except PlatformError as error:
                    errors.append(error)
        assert errors
        for raised in errors:
            assert QUOTED not in f"{raised} {raised.platform_code} {raised.request_id}"
            assert raised.wait is None or 0 <= raised.wait < 100_000

    async def test_a_gateway_s_error_page_and_a_lost_connection_are_tried_again(self) -> None:
        failures = (Answer(status=502, headers={}, body=b"<html>"), platform_error("no_answer"))
        for failure in failures:
            provider, transport = self.made(failure)
            for call in self.calls(provider):
                asked = len(transport.requests)
                with contextlib.suppress(RetryError):
                    await call()
                    assert len(transport.requests) == asked, "an answer that is none must not pass for one"

    async def test_its_requests_name_an_operation_and_mark_their_secrets(self) -> None:
        provider, transport = self.made()
        for call in self.calls(provider):
            try:
                await call()
            except PlatformError:
                continue
        assert transport.requests
        for request in transport.requests:
            assert request.operation in self.kind.rates
            assert request.path == "" or request.path.startswith("/")
            open_to_view = {
                **request.headers,
                **request.query,
                "path": request.path,
                "body": str(request.whole_body()),
            }
            shown = {name: text for name, text in open_to_view.items() if name not in request.secrets}
            assert not any(secret in text for secret in self.secrets() for text in shown.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Something that answers as the platform does."""

    settings: Mapping[str, str]
    """Settings of an account that it lets in; its base URL among them."""
    refused: Mapping[str, str]
    """Changes to them with which it lets nobody in."""
    members: Callable[[str], Awaitable[Sequence[Any]]]
    """What an audience holds, by its name on the platform."""


class LiveConformance(ProviderConformance):
    """What shows only against something that answers as the platform does: give it as `stage`."""

    @abstractmethod
    def stage(self) -> contextlib.AbstractAsyncContextManager[Stage]:
        """Run the stand-in while the block is entered."""

    @contextlib.asynccontextmanager
    async def opened(self, values: Mapping[str, str]) -> AsyncIterator[AnyProvider]:
        """Open an account over real HTTP."""
        settings = self.kind.settings_type.model_validate({**values, "pace": "off"})
        async with open_session(settings) as session:
            yield open_account(self.kind, settings, session, Pace({}))

    async def test_an_audience_is_made_once_and_found_again_by_its_exact_name(self) -> None:
        async with self.stage() as stage, self.opened(stage.settings) as provider:
            name = provider.platform_name('VIP "1" \\ é', disable_prefix=False)
            audience_id = await provider.find_audience(name) or await provider.create_audience(name, "custom")
            assert await provider.find_audience(name) == audience_id
            assert await provider.find_audience(name.lower()) != audience_id

    async def test_sending_the_same_rows_twice_leaves_the_same_members(self) -> None:
        users = [AudienceUser(email="a@example.com"), AudienceUser(phone="+14155550100"), full_user(2)]
        async with self.stage() as stage, self.opened(stage.settings) as provider:
            name = provider.platform_name("VIP", disable_prefix=False)
            audience_id = await provider.find_audience(name) or await provider.create_audience(name, "custom")
            made = [row for user in users if not isinstance(row := provider.row(user), Rejection)]
            rows = [msgspec.Raw(msgspec.json.encode(row)) for row in made[:2]]
            for _ in range(2):
                sent = await provider.send(audience_id, rows)
                assert sent.matched is None or provider.says_matched, "declare `says_matched`: the page tells of it"
                assert not sent.rejected
                assert not sent.unplaced
            assert len(await stage.members(name)) == 2

    async def test_as_many_rows_as_its_limits_allow_are_taken_in_one_call(self) -> None:
        async with self.stage() as stage, self.opened(stage.settings) as provider:
            name = provider.platform_name("VIP", disable_prefix=False)
            audience_id = await provider.find_audience(name) or await provider.create_audience(name, "custom")
            users = [full_user(number) for number in range(provider.limits.rows)]
            *_, made = make_rows(provider, enumerate(users))
            group = next(group_rows(made, provider.limits))
            sent = await provider.send(audience_id, group.rows)
            assert not sent.rejected
            assert len(await stage.members(name)) == len(group.rows)

    async def test_removed_people_are_gone_others_stay_and_who_was_not_there_is_no_error(self) -> None:
        if self.kind.removal is None:
            return
        staying = [full_user(number) for number in range(max(2, self.kind.removal.keeps))]
        leaving = [full_user(number) for number in range(len(staying), len(staying) + 3)]
        async with self.stage() as stage, self.opened(stage.settings) as provider:
            name = provider.platform_name("VIP", disable_prefix=False)
            audience_id = await provider.find_audience(name) or await provider.create_audience(name, "custom")
            await self._added(provider, audience_id, staying)
            before = await stage.members(name)
            await self._added(provider, audience_id, leaving)
            assert len(await stage.members(name)) == len(before) + 3
            for left in (3, 0):
                (removed,) = await self._removed(provider, audience_id, leaving)
                assert not removed.rejected
                assert not removed.unplaced
                assert removed.removed in (None, left)
                assert sorted(await stage.members(name)) == sorted(before)

    async def test_as_many_people_as_its_limits_allow_leave_in_one_call(self) -> None:
        if self.kind.removal is None:
            return
        async with self.stage() as stage, self.opened(stage.settings) as provider:
            name = provider.platform_name("VIP", disable_prefix=False)
            audience_id = await provider.find_audience(name) or await provider.create_audience(name, "custom")
            users = [full_user(number) for number in range(self.kind.removal.keeps + provider.removal_limits.rows)]
            await self._added(provider, audience_id, users)
            first, *_ = await self._removed(provider, audience_id, users[self.kind.removal.keeps :])
            assert not first.rejected
            assert len(await stage.members(name)) == self.kind.removal.keeps

    async def _added(self, provider: AnyProvider, audience_id: str, users: Sequence[AudienceUser]) -> None:
        *_, made = make_rows(provider, enumerate(users))
        for group in group_rows(made, provider.limits):
            await provider.send(audience_id, group.rows)

    async def _removed(
        self, provider: AnyProvider, audience_id: str, users: Sequence[AudienceUser]
    ) -> Sequence[Removed]:
        *_, made = make_removal_rows(provider, enumerate(users))
        return [await provider.remove(audience_id, group.rows) for group in group_rows(made, provider.removal_limits)]

    async def test_an_account_that_is_not_let_in_stops(self) -> None:
        async with self.stage() as stage, self.opened({**stage.settings, **stage.refused}) as provider:
            user = AudienceUser(email="a@example.com")
            with pytest.raises(StopError):
                await provider.send("1", [msgspec.Raw(msgspec.json.encode(provider.row(user)))])
            if self.kind.removal is not None:
                with pytest.raises(StopError):
                    await provider.remove("1", [msgspec.Raw(msgspec.json.encode(provider.removal_row(user)))])


def full_user(number: int) -> AudienceUser:
    """Return a made-up user with every field."""
    return AudienceUser(
        edge_tag_id=f"edge-{number}",
        email=f"person{number}@example.com",
        phone=f"+1415{2000000 + number}",
        first_name="Ada",
        last_name="Lovelace",
        country="US",
        postal_code="94107",
        purchase=Purchase(currency="USD", profit=number / 4, total_7_days=1.0),
    )
