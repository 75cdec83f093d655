"""Damaged lists from the upload to what the platforms hold, and what callers are told of them."""

import hashlib

from world import ALL, world

from streams.client.settings import KafkaSettings

USERS: list[dict[str, object]] = [
    {"email": "Jane Doe <jane@example.com>", "phone": "+447911123456.0", "country": "GB"},
    {"email": "john@example.com", "phone": "4.47911E+11", "firstName": "J\ufffdrg"},
    {"email": "mary@example.com;", "phone": "+44 020 7946 0958", "edgeTagId": 12345678901234567890123},
    {"phone": "4.47911E+11"},
    {"email": hashlib.sha256(b"").hexdigest().upper()},
]

HALF = b'[{"email": "ada@example.com"}, {"email": "alan@example.com", "firstName": "\\ud83d"}]'


def sha(text: str) -> str:
    """Return the hash that a platform is to be given."""
    return hashlib.sha256(text.encode()).hexdigest()


async def test_a_damaged_list_reaches_every_platform_as_it_was_meant_and_everybody_is_told(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix) as found:
        status, body, headers = await found.upload(USERS, "?sync=true&detail=true")
        assert status == 200, body
        told = {result["provider"]: result for result in body["results"]}
        for name in ALL:
            assert (told[name]["accepted"], told[name]["rejected"]) == (3, 2)
            assert told[name]["reasons"] == {"phone: damaged_number": 1, "email: hash_of_nothing": 1}
            assert told[name]["repaired"] == {"email: wrapped": 1, "phone: decimals": 1, "email: punctuation": 1}
            dropped = {"phone: damaged_number": 1, "firstName: damaged_text": 1}
            assert told[name]["dropped"] == dropped
        assert await found.members("tiktok") == {
            (sha("jane@example.com"), sha("+447911123456")),
            (sha("john@example.com"),),
            (sha("mary@example.com"), sha("+442079460958")),
        }
        ids = {cells for cells in await found.members("facebook") if "12345678901234567890123" in cells}
        assert len(ids) == 1
        completions = await found.completions(3)
        assert all(completion.dropped == dropped for completion in completions)
        async with found.session.get(found.url + headers["Location"]) as response:
            batch = await response.json()
        assert [target["dropped"] for target in batch["targets"]] == [dropped] * len(ALL)


async def test_half_a_surrogate_pair_costs_one_field_and_not_the_list(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["klaviyo"]) as found:
        status, body, _ = await found.upload(HALF, "?sync=true&detail=true")
        assert status == 200, body
        assert body["results"][0]["accepted"] == 2
        assert body["results"][0]["dropped"] == {"firstName: damaged_text": 1}


async def test_half_a_surrogate_pair_in_an_audience_s_name_is_refused(kafka: KafkaSettings, topic_prefix: str) -> None:
    async with world(kafka, topic_prefix, providers=["klaviyo"]) as found:
        status, body, _ = await found.upload(HALF, name=b"VIP \xed\xa0\xbd")
        assert status == 400
        assert body["errors"] == ["name: send UTF-8, byte 4 is none"]
