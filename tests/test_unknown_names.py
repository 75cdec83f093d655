"""Names that nobody knows, in the query, among the parts and of members: never passed over without a word."""

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from test_cli import audience
from test_contract import CORRUPTED, errors
from world import World, make_batch, make_form, make_users, world
from yarl import URL

from producer.request.client_names import is_slip, meant, shown
from producer.request.name_likeness import USER_LIKENESSES, meant_member
from producer.request.request_form import QUERY
from producer.request.unknown_names import MOST_DISTINCT, MOST_NAMED, Ignored, NameCounter, total
from producer.request.users_json import PayloadError, parse_users
from streams.client.settings import KafkaSettings


@pytest.fixture(scope="module")
async def server(kafka: KafkaSettings) -> AsyncIterator[World]:
    """Ingestion with a short wait and no consumers."""
    settings = {"AUDIENCE_SYNC_TIMEOUT": 0.2}
    async with world(kafka, f"test-{secrets.token_hex(6)}", consuming=(), settings=settings) as found:
        yield found


ALMOST = {
    "channels[]=facebook": "channels[]: send channels, separated by commas",
    "channels%5B%5D=facebook&channels%5B%5D=tiktok": "channels[]: send channels, separated by commas",
    "channels[0]=facebook&channels[1]=tiktok": "channels[]: send channels, separated by commas",
    "channels[a@example.com]=facebook": "channels[]: send channels, separated by commas",
    "channels%255B%255D=facebook": "channels[]: send channels, separated by commas",
    "channels.0=facebook": "channels.0: send channels, separated by commas",
    "Channels=facebook": "Channels: send channels, separated by commas",
    "channel=facebook": "channel: send channels, separated by commas",
    "chanels=facebook": "chanels: send channels, separated by commas",
    "chnanels=facebook": "chnanels: send channels, separated by commas",
    "+channels=facebook": "query: one of its names is almost right; send channels, separated by commas",
    "amp;channels=facebook": "query: one of its names is almost right; send channels, separated by commas",
    "channel%C5%9F=facebook": "query: one of its names is almost right; send channels, separated by commas",
    "chanel=facebook": "chanel: send channels, separated by commas",
    "channal=facebook": "channal: send channels, separated by commas",
    "SYNC=true": "SYNC: send sync",
    "snyc=true": "snyc: send sync",
    "syn=true": "syn: send sync",
    "async=true": "async: send sync",
    "sync[]=true": "sync[]: send sync",
    "details=true": "details: send detail",
    "disableprefix=true": "disableprefix: send disablePrefix",
    "disable_prefix=true": "disable_prefix: send disablePrefix",
    "disable-prefix=true": "disable-prefix: send disablePrefix",
}


@pytest.mark.parametrize("query", ALMOST)
async def test_a_query_name_that_is_almost_one_of_ours_is_refused_and_the_right_one_named(
    server: World, query: str
) -> None:
    assert await errors(server, make_form(make_users(1)), f"?{query}") == [ALMOST[query]]


@pytest.mark.parametrize("query", ["synchronous=true", "chan=facebook", "wait=5", "utm_source=mail", "api-version=2"])
async def test_any_other_query_name_is_taken_and_told(server: World, query: str) -> None:
    status, body, headers = await server.upload(make_users(1), f"?detail=true&{query}")
    assert (status, headers["X-Ignored-Count"]) == (200, "1")
    assert body["ignored"] == [{"in": "query", "name": query.partition("=")[0], "count": 1, "didYouMean": None}]


@given(st.sampled_from(QUERY), st.data())
def test_every_slip_of_the_fingers_is_one_and_two_slips_are_none(name: str, data: st.DataObject) -> None:
    letters, place = st.sampled_from("xyz0_"), data.draw(st.integers(0, len(name) - 2))
    first, second, rest = name[place], name[place + 1], name[place + 2 :]
    letter = data.draw(letters)
    begin = name[:place]
    slips = {
        begin + second + rest,
        begin + letter + first + second + rest,
        begin + letter + second + rest,
        begin + second + first + rest,
    } - {name}
    assert all(is_slip(slip, name) for slip in slips)
    assert not is_slip(name, name)
    assert not any(is_slip(slip + "##", name) for slip in slips)
    assert not is_slip(f"##{name}", name)


@given(st.text(max_size=200))
def test_a_name_of_any_kind_is_judged_and_only_a_harmless_one_repeated(name: str) -> None:
    assert meant(name, QUERY, with_slips=True) in (None, *QUERY)
    told = shown(name)
    assert told is None or (told == name and name.isascii() and len(name) <= 40 and "@" not in name)


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("Users", "Users: send users"),
        ("users[]", "users[]: send users"),
        ("users[0][email]", "users[]: send users"),
        ("batch[sessionId]", "batch[]: send batch"),
        ("TYPE", "TYPE: send type"),
        ("Name", "Name: send name"),
    ],
)
async def test_a_part_s_name_that_differs_in_case_or_an_index_is_refused(server: World, part: str, fault: str) -> None:
    assert await errors(server, make_form(make_users(1), extra={part: "secret-value"})) == [fault]


async def test_slips_are_told_together_with_all_other_faults_in_the_order_of_checks(server: World) -> None:
    form = make_form(make_users(1), name="", batch=make_batch(sequence=2), extra={"Type": "primary"})
    assert await errors(server, form, "?sync=yes&Channels=facebook&channels=snapchat") == [
        "Type: send type",
        "name: send a name of 1 to 255 characters",
        "sync: send true, false, 1 or 0",
        "channels: send some of facebook, tiktok, klaviyo, separated by commas",
        "Channels: send channels, separated by commas",
        "batch.sequence: send a number that is not above totalBatches",
    ]


async def test_what_is_ignored_is_told_by_place_name_and_count_and_in_the_log(server: World) -> None:
    users = [
        {"email": "ada@example.com", "Email": "x", "tag": 1, "purchase": {"Currency": "EUR", "profit": 1}},
        {"email": "alan@example.com", "tag": 2, "First Name": "y", "alan@example.com": 1},
    ]
    extra = {"note": "x", "detail": "true", "ada@example.com": "x"}
    with structlog.testing.capture_logs() as logs:
        status, body, headers = await server.upload(
            users, "?detail=true&type=primary&cb=1&cb=2", batch=make_batch(pull_date="x", zone=1), extra=extra
        )
    assert (status, headers["X-Ignored-Count"]) == (200, "14")
    assert body["ignored"] == [
        {"in": "query", "name": "type", "count": 1, "didYouMean": "the part type"},
        {"in": "query", "name": "cb", "count": 2, "didYouMean": None},
        {"in": "parts", "name": "detail", "count": 1, "didYouMean": "detail in the query"},
        {"in": "parts", "name": "note", "count": 1, "didYouMean": None},
        {"in": "parts", "name": None, "count": 1, "didYouMean": None},
        {"in": "batch", "name": "pull_date", "count": 1, "didYouMean": "pullDate"},
        {"in": "batch", "name": "zone", "count": 1, "didYouMean": None},
        {"in": "users", "name": "Email", "count": 1, "didYouMean": "email"},
        {"in": "users", "name": None, "count": 1, "didYouMean": "firstName"},
        {"in": "users", "name": "tag", "count": 2, "didYouMean": None},
        {"in": "users", "name": None, "count": 1, "didYouMean": None},
        {"in": "users.purchase", "name": "Currency", "count": 1, "didYouMean": "currency"},
    ]
    (accepted,) = [entry for entry in logs if entry["event"] == "Upload accepted."]
    assert accepted["ignored"] == 14
    assert accepted["ignored_names"][:3] == ["query.type", "query.cb", "parts.detail"]
    assert "example.com" not in json.dumps([body, accepted])


async def test_an_answer_without_details_says_no_more_than_before_but_for_the_header(server: World) -> None:
    for query, users, count in (("", make_users(1), "0"), ("?cb=1", [{"email": "ada@example.com", "x": 1}], "2")):
        status, body, headers = await server.upload(users, query)
        assert (status, body, headers["X-Ignored-Count"]) == (200, {"success": True}, count)


async def test_a_sync_answer_and_that_of_a_batch_sent_again_tell_what_was_ignored_too(server: World) -> None:
    batch = make_batch(sessionId=secrets.randbelow(2**40))
    for query, expected in (("?detail=1&sync=1&cb=1", 504), ("?detail=1&cb=1", 200)):
        status, body, headers = await server.upload(make_users(1), query, batch=batch)
        assert (status, headers["X-Ignored-Count"]) == (expected, "1")
        assert [one["name"] for one in body["ignored"]] == ["cb"]


NOT_OURS = "users: no user has a member that is known."
LOOKALIKES = {
    '[{"Email": "x", "First Name": "y"}]': " Email: did you mean email?"
    " A name that is not shown: did you mean firstName?",
    '[{"e-mail": "x"}, {"e-mail": "y"}]': " e-mail: did you mean email?",
    '[{"EMAIL ": "x"}]': " A name that is not shown: did you mean email?",
    '[{"phone_number": "x", "zip": "y", "id": 7}]': " phone_number: did you mean phone? zip: did you mean postalCode?",
    '[{"emial": "x"}]': " emial: did you mean email?",
    '[{"customerEmail2": "x"}]': " customerEmail2: did you mean email?",
    '[{"FN": "x"}, {"LN": "y"}, {"CustomThing": 1}]': " FN: did you mean firstName? LN: did you mean lastName?",
}


@pytest.mark.parametrize("users", LOOKALIKES)
async def test_users_of_whom_none_has_a_known_member_are_refused_where_one_is_almost_known(
    server: World, users: str
) -> None:
    assert await errors(server, make_form(users)) == [f"{CORRUPTED}{NOT_OURS}{LOOKALIKES[users]}"]


@pytest.mark.parametrize(
    "users",
    [
        '[{"loyalty": "x"}]',
        "[{}]",
        '[{"email": null, "Email": "x"}]',
        '[{"Email": "x"}, {"phone": "+14155550100"}]',
        '[{"purchase": {"Profit": 5}}]',
    ],
)
async def test_users_of_whom_one_has_a_known_member_or_none_a_similar_one_are_taken(server: World, users: str) -> None:
    assert (await server.upload(users))[0] == 200


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("E-Mail Address", "email"),
        ("billing_phone", "phone"),
        ("Mobile", "phone"),
        ("FNAME", "firstName"),
        ("first_name", "firstName"),
        ("surname", "lastName"),
        ("ZIP", "postalCode"),
        ("Postcode", "postalCode"),
        ("CountryCode", "country"),
        ("shipping.country", "country"),
        ("extern_id", "edgeTagId"),
        ("edge_tag_id", "edgeTagId"),
        ("Purchases", "purchase"),
        ("company", None),
        ("phone_type", None),
        ("id", None),
        ("", None),
        ("7", None),
        ("é", None),
        ("e" * 100 + "email", None),
    ],
)
def test_a_member_is_found_by_its_usual_other_names(name: str, ours: str | None) -> None:
    assert meant_member(name, USER_LIKENESSES) == ours


@given(st.lists(st.dictionaries(st.text(max_size=50), st.integers(), max_size=6), max_size=40))
def test_what_is_counted_is_every_occurrence_whatever_the_names(users: list[dict[str, int]]) -> None:
    known = frozenset(USER_LIKENESSES.values())
    given_users = [{name: value for name, value in user.items() if name not in known} for user in users]
    found = parse_users(json.dumps([{"email": "a@example.com"}, *given_users]).encode())
    assert total(found.unknown) == sum(map(len, given_users))
    assert all(one.name is None or shown(one.name) for one in found.unknown)


def test_names_without_end_are_counted_and_few_of_them_kept() -> None:
    counter = NameCounter("users", lambda name: "email" if name == "zz-mail" else None)
    counter.add(["zz-mail", *(f"name{number}" for number in range(5_000)), "x" * 100_000, "name7"])
    found = counter.found()
    assert total(found) == 5_003
    assert found[:2] == (
        Ignored(place="users", name="zz-mail", count=1, did_you_mean="email"),
        Ignored(place="users", name="name7", count=2),
    )
    assert (len(found), found[-1].name) == (MOST_NAMED + 1, None)
    assert len(counter._counts) == MOST_DISTINCT


def test_the_first_fault_of_a_value_that_is_ignored_is_named_by_its_user() -> None:
    with pytest.raises(PayloadError, match=r"^users\[1\]: expected numbers of fewer digits$"):
        parse_users(b'[{"x": 1e999}, {"x": %b}]' % (b"9" * 5000))


async def test_the_preview_tells_what_an_upload_would_ignore(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text('[{"email": "ada@example.com", "Phone": "x"}, {"a b": 1}]')
    code, output, said = await audience(tmp_path, "preview", "users.json", "--name", "VIP", "--provider", "tiktok")
    assert (code, said) == (0, "")
    last: Any = json.loads(output.splitlines()[-1])
    assert last["ignored"] == [
        {"in": "users", "name": "Phone", "count": 1, "didYouMean": "phone"},
        {"in": "users", "name": None, "count": 1, "didYouMean": None},
    ]


async def test_the_preview_refuses_users_as_the_endpoint_does(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text('[{"Email": "ada@example.com"}]')
    code, output, said = await audience(tmp_path, "preview", "users.json", "--name", "VIP")
    assert (code, output) == (1, "")
    assert said.strip() == f"audience preview: {NOT_OURS} Email: did you mean email?"


@pytest.mark.parametrize("name", ["VIP\n", "VIP\r\n", "\r\nVIP", "VIP"])
async def test_a_name_and_a_type_are_read_without_the_line_ends_around_them(server: World, name: str) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    for part, value in (("name", name), ("type", "primary\n"), ("users", '[{"email": "a@example.com"}]')):
        form.add_field(part, value)
    form.add_field("batch", json.dumps(make_batch(sessionId=secrets.randbelow(2**40))))
    async with server.session.post(f"{server.url}/audience", data=form) as response:
        assert response.status == 200
        place = response.headers["Location"]
    async with server.session.get(server.url + place) as response:
        told = await response.json()
        assert (told["name"], told["type"]) == ("VIP", "primary")


async def test_blanks_of_a_name_are_the_client_s_and_line_ends_alone_are_no_name(server: World) -> None:
    status, _, headers = await server.upload(make_users(1), name=" V\nIP \n")
    assert status == 200
    async with server.session.get(server.url + headers["Location"]) as response:
        assert (await response.json())["name"] == " V\nIP "
    assert await errors(server, make_form(make_users(1), name="\r\n")) == ["name: send a name of 1 to 255 characters"]


WITHIN = [
    "channels%3Dfacebook%26detail%3Dtrue",
    "channels:facebook",
    "a=1;channels=facebook",
    "a=1%26channels=facebook",
    "filter[channels]=facebook",
    "audience%5Bchannels%5D%5B%5D=facebook",
    "channels__in=facebook",
    "x-channels=facebook",
    "excludeChannels=facebook",
]


@pytest.mark.parametrize("query", WITHIN)
async def test_channels_within_another_name_or_value_never_go_to_all_platforms(server: World, query: str) -> None:
    url = f"{server.url}/audience?{query}"
    async with server.session.post(URL(url, encoded=True), data=make_form(make_users(1))) as response:
        assert response.status == 400
        told = (await response.json())["errors"]
    assert any("send ?channels=facebook,tiktok" in one for one in told) or told == [
        "channels: send channels, separated by commas"
    ]


@pytest.mark.parametrize("part", ["channels", "Channels", "channels[]", "channel"])
async def test_channels_as_a_part_are_refused_as_they_would_limit_nothing(server: World, part: str) -> None:
    form = make_form(make_users(1))
    form.add_field(part, "facebook")
    assert await errors(server, form) == ["channels: it came as a part; send it in the query, separated by commas"]


async def test_the_parts_that_came_are_named_where_one_is_missing(server: World) -> None:
    form = aiohttp.FormData(default_to_multipart=True)
    for part in ("name", "sequence", "totalBatches", "users"):
        form.add_field(part, "1")
    told = await errors(server, form)
    assert told[0].endswith("batch: missing; of what came these are no parts of it: sequence, totalBatches")


async def test_a_sync_caller_is_told_what_was_ignored_where_nobody_was_accepted(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"]) as found:
        users = [{"Email": "ada@example.com", "country": "GB"}]
        status, body, _ = await found.upload(users, "?sync=true")
        assert status == 400
        assert body["errors"][1:] == ["ignored: users.Email: did you mean email?"]
