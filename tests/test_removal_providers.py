"""Each adapter takes people out at its platform's stand-in, over real HTTP, and says what came of it."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
import pytest
from recorded_requests import recorded_requests
from test_conformance import TestWebhook as WebhookStage
from test_providers import opened, sha
from yarl import URL

from providers.facebook import answers as facebook
from providers.kit.errors import AudienceGoneError, PlatformError, RejectError, RetryError, StopError, ThrottleError
from providers.kit.http import Answer, Request
from providers.kit.provider import AnyProvider, Removed
from providers.kit.rows.rejection_reasons import Rejection
from providers.kit.rows.rows_per_call import group_rows
from providers.kit.rows.users_to_rows import make_removal_rows, make_rows
from providers.klaviyo import Klaviyo, KlaviyoSettings
from schemas.error_words import VOCABULARY
from schemas.records import AudienceUser, Purchase

ALL = ("facebook", "klaviyo", "tiktok")
PEOPLE = [
    AudienceUser(edge_tag_id=f"edge-{number}", email=f"person{number}@example.com", phone=f"+1415555{number:04}")
    for number in range(250)
]


@dataclass
class Stage:
    """An account at a stand-in, with one audience."""

    provider: AnyProvider
    session: aiohttp.ClientSession
    url: str
    name: str
    audience: str = ""

    async def add(self, users: Sequence[AudienceUser]) -> None:
        """Put users into the audience."""
        *_, made = make_rows(self.provider, enumerate(users))
        for group in group_rows(made, self.provider.limits):
            await self.provider.send(self.audience, group.rows)

    async def remove(self, users: Sequence[AudienceUser], audience: str | None = None) -> Removed:
        """Take users out by one call."""
        *_, made = make_removal_rows(self.provider, enumerate(users))
        (group,) = group_rows(made, self.provider.removal_limits)
        return await self.provider.remove(audience or self.audience, group.rows)

    async def members(self) -> list[list[str]]:
        """Return what the platform holds."""
        query = {"provider": self.name, "audience": "VIP"}
        async with self.session.get(f"{self.url}/_sandbox/members", params=query) as response:
            return list((await response.json())["members"])

    async def fail(self, fault: str, **more: object) -> None:
        """Make calls fail."""
        body = {"provider": self.name, "fault": fault, **more}
        async with self.session.post(f"{self.url}/_sandbox/faults", json=body) as response:
            assert response.status == 201, await response.text()

    async def calls(self) -> dict[str, int]:
        """Return how many calls there were of each operation."""
        async with self.session.get(f"{self.url}/_sandbox/counters") as response:
            return dict((await response.json())[self.name]["byOperation"])


@asynccontextmanager
async def staged(name: str, **settings: str) -> AsyncIterator[Stage]:
    """Open an account whose audience is there and empty."""
    async with opened(name, **settings) as (provider, session, url):
        stage = Stage(provider, session, url, name)
        stage.audience = await provider.create_audience("VIP", "custom")
        yield stage


@pytest.mark.parametrize("name", ALL)
async def test_whoever_is_named_leaves_and_the_others_stay_whatever_their_number(name: str) -> None:
    async with staged(name) as stage:
        await stage.add(PEOPLE)
        removed = await stage.remove(PEOPLE[:230])
        assert (removed.rejected, removed.unplaced) == ({}, {})
        assert removed.removed in (None, 230)
        assert len(await stage.members()) == 20
        removed = await stage.remove(PEOPLE)
        assert removed.removed in (None, 20)
        assert await stage.members() == []


@pytest.mark.parametrize("name", ALL)
async def test_nobody_of_them_in_the_audience_is_no_error(name: str) -> None:
    async with staged(name) as stage:
        removed = await stage.remove(PEOPLE[:3])
        assert (removed.rejected, removed.unplaced) == ({}, {})
        assert removed.removed in (None, 0)
        calls = await stage.calls()
        assert calls["create"] == 1


@pytest.mark.parametrize("name", ALL)
async def test_an_audience_that_is_gone_is_told_and_not_made_again(name: str) -> None:
    async with staged(name) as stage:
        gone = {"facebook": "23850000000000000", "klaviyo": "XXXXXX", "tiktok": "7000000000000000000"}[name]
        with pytest.raises(AudienceGoneError):
            await stage.remove(PEOPLE[:3], gone)
        calls = await stage.calls()
        assert (calls["create"], calls["upload"]) == (1, 0)


FAULTS: Mapping[str, type[PlatformError]] = {
    "throttled": ThrottleError,
    "auth": StopError,
    "terms": StopError,
    "server_error": RetryError,
    "html": RetryError,
    "not_found": AudienceGoneError,
    "invalid": RejectError,
    "drop": RetryError,
    "drop_after": RetryError,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ALL)
async def test_what_the_platform_says_of_a_removal_means_what_it_means_of_an_upload(name: str, fault: str) -> None:
    async with staged(name) as stage:
        await stage.add(PEOPLE[:3])
        await stage.fail(fault, operation="remove")
        with pytest.raises(FAULTS[fault]) as refused:
            await stage.remove(PEOPLE[:3])
        assert type(refused.value) is FAULTS[fault]
        assert (await stage.calls())["remove"] == 1, "nothing sends it again unasked"
        assert len(await stage.members()) == (0 if fault == "drop_after" else 3)
        await stage.remove(PEOPLE[:3])
        assert await stage.members() == []


@pytest.mark.parametrize("name", ALL)
async def test_half_a_removal_is_made_whole_by_the_next_try(name: str) -> None:
    async with staged(name) as stage:
        await stage.add(PEOPLE[:4])
        await stage.fail("half", operation="remove")
        with pytest.raises(PlatformError):
            await stage.remove(PEOPLE[:4])
        assert len(await stage.members()) == 2
        await stage.remove(PEOPLE[:4])
        assert await stage.members() == []


# Meta.


async def test_meta_s_flagged_audience_has_a_word_of_its_own_for_removals() -> None:
    async with staged("facebook") as stage:
        await stage.add(PEOPLE[:3])
        await stage.fail("blocked", until="cleared")
        with pytest.raises(RejectError) as refused:
            await stage.remove(PEOPLE[:3])
        assert (refused.value.code, refused.value.platform_code) == ("removal_refused", "100/1713230")
        assert VOCABULARY["removal_refused"].action == "reject"
        with pytest.raises(RejectError) as refused:
            await stage.add(PEOPLE[:3])
        assert refused.value.code == "audience_refused"


@pytest.mark.parametrize("code", [code for code, word in facebook.CODES.items() if word == "audience_refused"])
def test_whatever_refuses_an_audience_to_meta_refuses_its_removal(code: str) -> None:
    number, _, subcode = code.partition("/")
    error = {"code": int(number), **({"error_subcode": int(subcode)} if subcode else {})}
    answer = Answer(status=400, headers={}, body=b"{}")
    assert facebook.refusal(answer, error, "remove").code == "removal_refused"
    assert facebook.refusal(answer, error, "upload").code == "audience_refused"


async def test_meta_s_malformed_rows_are_rejected_by_their_places_also_of_a_value_based_audience() -> None:
    async with staged("facebook", value_from="profit", value_currency="USD") as stage:
        users = [msgspec.structs.replace(user, purchase=Purchase(currency="USD", profit=1.0)) for user in PEOPLE[:3]]
        await stage.add(users)
        await stage.fail("partial", operation="remove")
        removed = await stage.remove(users)
        assert removed.rejected == {0: Rejection(None, "refused_by_platform")}
        assert removed.removed is None
        assert len(removed.request_ids) == 1
        assert len(await stage.members()) == 1


# TikTok.


async def test_tiktok_takes_out_the_ids_that_are_named_and_no_others() -> None:
    async with staged("tiktok") as stage:
        await stage.add(PEOPLE[:1])
        await stage.remove([AudienceUser(email=PEOPLE[0].email)])
        assert await stage.members() == [[sha(PEOPLE[0].phone or "")]]
        await stage.remove([AudienceUser(phone=PEOPLE[0].phone)])
        assert await stage.members() == []


# Klaviyo.


@pytest.mark.parametrize(
    "named",
    [AudienceUser(email="person0@example.com"), AudienceUser(phone="+14155550000"), AudienceUser(edge_tag_id="edge-0")],
)
async def test_klaviyo_s_profile_is_found_by_any_of_its_identifiers_and_lives_on(named: AudienceUser) -> None:
    async with staged("klaviyo") as stage:
        await stage.add(PEOPLE[:2])
        removed = await stage.remove([named])
        assert removed.removed == (None if named.edge_tag_id else 1)
        assert await stage.members() == [["person1@example.com", "+14155550001", "edge-1"]]
        await stage.add(PEOPLE[:1])
        assert len(await stage.members()) == 2


@pytest.mark.parametrize(("values", "looks"), [("100", 3), ("7", 9)])
async def test_klaviyo_is_asked_for_as_many_identifiers_at_once_as_is_set(values: str, looks: int) -> None:
    async with staged("klaviyo", lookup_values=values) as stage:
        await stage.add(PEOPLE[:20])
        assert (await stage.remove(PEOPLE[:20])).removed == 20
        calls = await stage.calls()
        assert (calls["lookup"], calls["remove"]) == (looks, 1)


async def test_klaviyo_s_pages_are_followed_and_a_thousand_profiles_leave_by_one_call() -> None:
    users = [AudienceUser(email=f"person{number}@example.com") for number in range(1000)]
    async with staged("klaviyo", lookup_values="1000") as stage:
        await stage.add(users)
        assert (await stage.remove(users)).removed == 1000
        assert await stage.members() == []
        assert (await stage.calls())["remove"] == 1


async def test_more_than_a_thousand_profiles_leave_klaviyo_by_several_calls() -> None:
    """Who shares a row's identifiers may be several profiles, so a call's rows can name more of them than it has."""
    emails = [AudienceUser(email=f"person{number}@example.com") for number in range(600)]
    phones = [AudienceUser(phone=f"+1415555{number:04}") for number in range(600)]
    both = [AudienceUser(email=one.email, phone=other.phone) for one, other in zip(emails, phones, strict=True)]
    async with staged("klaviyo") as stage:
        await stage.add([*emails, *phones])
        assert (await stage.remove(both)).removed == 1200
        assert await stage.members() == []
        assert (await stage.calls())["remove"] == 2


async def test_nothing_is_sent_to_klaviyo_s_list_where_nobody_was_found() -> None:
    async with staged("klaviyo") as stage:
        assert (await stage.remove(PEOPLE[:3])).removed == 0
        assert (await stage.calls())["remove"] == 0


async def test_an_address_with_quotes_finds_its_own_profile_only() -> None:
    odd = AudienceUser(email='"a\\"b",x"@example.com')
    recorded = Recorded()
    await Klaviyo(KlaviyoSettings.model_validate({"api_key": "x"}), recorded).remove(
        "LIST", [msgspec.Raw(msgspec.json.encode({"email": odd.email}))]
    )
    assert recorded.requests[0].query["filter"] == r'any(email,["\"a\\\"b\",x\"@example.com"])'


class Recorded:
    """A platform that knows nobody."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Answer:
        """Note a request."""
        self.requests.append(request)
        return Answer(status=200, headers={}, body=b'{"data":[]}')


async def test_no_look_up_s_url_is_longer_than_urls_may_be() -> None:
    recorded = Recorded()
    emails = [f"{'ü' * 40}{number}@{'long' * 12}.example.com" for number in range(300)]
    rows = [msgspec.Raw(msgspec.json.encode({"email": email})) for email in emails]
    await Klaviyo(KlaviyoSettings.model_validate({"api_key": "x", "lookup_values": 1000}), recorded).remove("L", rows)
    asked = [URL("https://x").with_query(request.query).raw_query_string for request in recorded.requests]
    assert max(map(len, asked)) < 7000
    assert sum(request.query["filter"].count("@") for request in recorded.requests) == 300


async def test_who_stands_in_several_rows_is_looked_up_once() -> None:
    recorded = Recorded()
    rows = [msgspec.Raw(b'{"email":"a@example.com"}')] * 5
    assert (await Klaviyo(KlaviyoSettings.model_validate({"api_key": "x"}), recorded).remove("L", rows)).removed == 0
    assert [request.query["filter"] for request in recorded.requests] == ['any(email,["a@example.com"])']


# Webhook.


async def test_a_webhook_s_removal_is_an_event_of_its_own_that_nobody_takes_for_an_addition() -> None:
    case = WebhookStage()
    async with case.stage() as stage, case.opened(stage.settings) as provider:
        sent = recorded_requests(provider)
        *_, added = make_rows(provider, enumerate(PEOPLE[:2]))
        await provider.send("VIP", added.rows)
        *_, made = make_removal_rows(provider, enumerate([AudienceUser(email="person0@example.com")]))
        removed = await provider.remove("VIP", made.rows)
        assert len(await stage.members("VIP")) == 1
    add, remove = (json.loads(request.whole_body() or b"") for request in sent)
    assert add.keys() == {"audience", "users"}
    assert remove == {
        "type": "audience.users.removed",
        "audience": "VIP",
        "removed": [{"email": "person0@example.com"}],
    }
    assert removed.request_ids == [sent[1].headers["webhook-id"]]
    assert sent[0].headers["webhook-id"] != sent[1].headers["webhook-id"]


@pytest.mark.parametrize("name", ["facebook", "tiktok"])
async def test_who_is_removed_stands_in_the_body_and_never_in_a_url(name: str) -> None:
    """Meta's own SDK, facebook-business 26.0.3, puts them into the URL of its DELETE, which logs and proxies keep."""
    async with staged(name) as stage:
        sent = recorded_requests(stage.provider)
        await stage.remove(PEOPLE[:3])
    (request,) = sent
    hashed = sha("person0@example.com")
    assert hashed.encode() in (request.whole_body() or b"")
    assert hashed not in f"{request.path}{request.query}{request.headers}"


def test_words_of_removals_say_what_to_do() -> None:
    words: Any = {word: VOCABULARY[word] for word in ("cannot_remove", "removal_refused")}
    assert {word: (of.action, of.scope) for word, of in words.items()} == {
        "cannot_remove": ("reject", "record"),
        "removal_refused": ("reject", "audience"),
    }
