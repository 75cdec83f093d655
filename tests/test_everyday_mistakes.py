"""Parts of another form than they should have get the sentence that helps, and never a value of theirs."""

import json
import secrets
from collections.abc import AsyncIterator

import aiohttp
import pytest
from test_contract import CORRUPTED, errors
from world import World, make_batch, make_form, make_users, world

from producer.request.batch_form import parse_batch
from producer.request.users_json import PayloadError, parse_users
from streams.client.settings import KafkaSettings

PRINTED = "it is how a program prints an object: serialise it as JSON"
TWICE = "it is JSON inside a JSON string: encode it once, not twice"
CSV = "it looks like CSV: send a JSON array with an object for each line"
SEVERAL = "it is one object after another, as in NDJSON: send one array that holds them all"

USERS = {
    "email,phone\nsecret@example.com,1": f"not JSON at byte 0; {CSV}",
    '"E-Mail";"Vorname"\n"secret@example.com";"x"': f"expected array; {CSV}",
    "secret@example.com\nx@example.com": f"not JSON at byte 0; {CSV}",
    '{"email": "secret"}\n{"email": "x"}\n': f"expected array; {SEVERAL}",
    '{"email": "secret", "purchase": {"profit": 1}}\r\n\r\n{"email": "x"}': f"expected array; {SEVERAL}",
    '{"email": "secret"}, {"email": "x"}': f"expected array; {SEVERAL}",
    "[object FormData]": f"not JSON at byte 1; {PRINTED}",
    "[object Object],[object Object]": f"not JSON at byte 1; {PRINTED}",
    "[{'email': 'secret'}]": f"not JSON at byte 2; {PRINTED}",
    '[{:email=>"secret"}]': f"not JSON at byte 2; {PRINTED}",
    '[{"email"=>"secret"}]': f"not JSON at byte 9; {PRINTED}",
    "[{email=secret}]": f"not JSON at byte 2; {PRINTED}",
    "[map[email:secret]]": f"not JSON at byte 1; {PRINTED}",
    "[{email: 'secret'}]": f"not JSON at byte 2; {PRINTED}",
    "Array": f"not JSON at byte 0; {PRINTED}",
    '\'[{"email": "secret"}]\'': "not JSON at byte 0; it stands in single quotes",
    json.dumps(json.dumps([{"email": "secret"}])): f"expected array; {TWICE}",
    json.dumps([json.dumps({"email": "secret"})]): "expected object; its members are JSON inside strings",
    '{"users": [{"email": "secret"}]}': "expected array; send the array itself, without an object around it",
    '{"0": {"email": "secret"}, "2": {}}': "expected array; send its values as an array, without their keys",
    '{"email": "secret"}': "expected array; put a single user into an array, too",
    "%5B%7B%22email%22%3A1%7D%5D": "not JSON at byte 0; it is percent-encoded: send it as it is",
    "W3siZW1haWwiOiJzZWNyZXQifV0=": "not JSON at byte 0; it looks like base64: send the JSON itself",
    "secret/users.json": "not JSON at byte 0; it is a file's name: send what the file holds",
    "<users><user/></users>": "not JSON at byte 0; it looks like XML or HTML: send JSON",
    "PK\x03\x04": "not JSON at byte 0; it is compressed or a spreadsheet: send plain JSON",
}


@pytest.mark.parametrize("users", USERS)
def test_users_of_another_form_get_the_sentence_that_helps(users: str) -> None:
    with pytest.raises(PayloadError) as refused:
        parse_users(users.encode())
    told = str(refused.value).removeprefix("users: ").removeprefix("users[0]: ")
    assert told.startswith(USERS[users])
    assert "secret" not in told


@pytest.mark.parametrize("users", ["[", "", "null", "5", "[[]]", '[{"email": "a"},]', '[{"email": ["a"]}]', "hello"])
def test_what_looks_like_nothing_known_gets_no_guess(users: str) -> None:
    with pytest.raises(PayloadError) as refused:
        parse_users(users.encode())
    assert ";" not in str(refused.value)


BATCHES = {
    "[object Object]": f"batch: not JSON at byte 1; {PRINTED}",
    "{'sessionId': 1}": f"batch: not JSON at byte 1; {PRINTED}",
    json.dumps(json.dumps(make_batch())): f"batch: expected object; {TWICE}",
    json.dumps([make_batch()]): "batch: expected object; send the object itself, without an array around it",
    '{"session_id": 1, "sequence": 1, "totalBatches": 1, "totalUsers": 1}': "batch.sessionId: expected a finite number;"
    " batch.session_id: did you mean sessionId?",
}


@pytest.mark.parametrize("batch", BATCHES)
def test_a_batch_of_another_form_gets_the_sentence_that_helps(batch: str) -> None:
    with pytest.raises(PayloadError) as refused:
        parse_batch(batch.encode())
    assert str(refused.value).startswith(BATCHES[batch])


@pytest.fixture(scope="module")
async def server(kafka: KafkaSettings) -> AsyncIterator[World]:
    """Ingestion without consumers."""
    async with world(kafka, f"test-{secrets.token_hex(6)}", consuming=()) as found:
        yield found


def form_of(*parts: tuple[str, str]) -> aiohttp.FormData:
    """Return a form of these parts, with a name."""
    form = aiohttp.FormData(default_to_multipart=True)
    for part, value in (("name", "VIP"), *parts):
        form.add_field(part, value)
    return form


IN_PIECES = "missing; it came in pieces, such as {0}[...]: send one part {0} that holds all of it as JSON"
BATCH = ("batch", json.dumps(make_batch()))
PIECES = {
    "axios, rest-client: an object": (
        [("batch[sessionId]", "1"), ("batch[sequence]", "1"), ("users[0][email]", "secret")],
        f"batch: {IN_PIECES.format('batch')}",
    ),
    "axios, rest-client: users": ([BATCH, ("users[0][email]", "secret")], f"users: {IN_PIECES.format('users')}"),
    "an empty index": ([BATCH, ("users[][email]", "secret")], f"users: {IN_PIECES.format('users')}"),
    "dots": ([BATCH, ("users.0.email", "secret")], f"users: {IN_PIECES.format('users')}"),
    "requests: the keys of a dict": (
        [("batch", "sessionId"), ("batch", "sequence"), ("batch", "totalBatches"), ("batch", "totalUsers")],
        "batch: not JSON at byte 0; batch came more than once, as when an object is taken to pieces",
    ),
    "users one by one": (
        [BATCH, ("users", '{"email": "secret"}'), ("users", '{"email": "x"}')],
        "users: expected array; put a single user into an array, too; users came more than once",
    ),
    "another case": ([BATCH, ("Users", "[]")], "users: missing; Users: send users"),
    "a slip": ([BATCH, ("user", "[]")], "users: missing; user: send users"),
    "nothing like it": ([BATCH, ("file", "[]")], "users: missing"),
}


@pytest.mark.parametrize("what", PIECES)
async def test_an_object_that_a_client_took_to_pieces_is_told_as_such(server: World, what: str) -> None:
    parts, told = PIECES[what]
    (found,) = await errors(server, form_of(*parts))
    assert found.startswith(CORRUPTED + told)
    assert "secret" not in found


async def test_a_hint_comes_with_the_usual_form_and_place(server: World) -> None:
    assert await errors(server, make_form("[object Object]", batch=make_batch())) == [
        f"{CORRUPTED}users: not JSON at byte 1; {PRINTED} (JSON.stringify, json.dumps, json_encode, to_json)"
    ]
    assert (await server.upload(make_users(1)))[0] == 200
