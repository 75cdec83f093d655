"""By what people are known where removals are remembered: the platform's normal form, hashed by a key."""

import hashlib
from typing import Any

import pytest
from removals import people, person, phone
from test_rows_in_flight import Platform, delivery_to
from world import ALL

from consumer.removals.identifiers import Identifiers
from providers.installed import installed
from providers.kit.provider import AnyProvider
from providers.kit.removal_declaration import Removal
from providers.kit.settings import account_values
from providers.webhook import Webhook
from sandbox import CREDENTIALS
from schemas.hash_keys import HashKey
from schemas.records import AudienceBatch, AudienceUser
from schemas.target import Target

KEY = HashKey(b"made up for tests")


def provider_of(name: str) -> AnyProvider:
    """Return an account that calls nobody."""
    kind: Any = installed()[name]
    values = account_values(kind.settings_type, Target(name), CREDENTIALS[name])
    return kind(kind.settings_type.model_validate(values), None)  # type: ignore[no-any-return] # of any kind


class ByHand(Webhook):
    """A receiver whose rows of a removal are made by hand."""

    name = "by_hand"
    removal = Removal(says="a call", source="made up")

    def removal_row(self, user: AudienceUser) -> object:
        """Return what nobody but the platform can take apart."""
        return f"{user.email}|{user.phone}"

    def removal_identifiers(self, row: Any) -> list[str]:
        """Return the one that there is."""
        return ["contact"] if row else []


@pytest.mark.parametrize("name", ALL)
def test_the_same_person_written_in_another_way_has_the_same_identifiers(name: str) -> None:
    identifiers = Identifiers(provider_of(name), KEY)
    same = [
        AudienceUser(email="Person1@Example.com ", phone="+1 415 555 0001", first_name="A", postal_code="1"),
        AudienceUser(email="person1@example.com", phone="(415) 555-0001", country="us"),
    ]
    first, second = identifiers.of_users(same)
    assert first == second
    assert len(first) == 2
    other_key = Identifiers(provider_of(name), HashKey(b"another one of a test"))
    assert not set(other_key.of(same[0])) & set(first)


@pytest.mark.parametrize("name", ["facebook", "tiktok"])
def test_who_was_hashed_before_is_the_same_where_the_platform_takes_hashes(name: str) -> None:
    identifiers = Identifiers(provider_of(name), KEY)
    hashed = hashlib.sha256(b"person1@example.com").hexdigest()
    assert identifiers.of(AudienceUser(email=hashed)) == identifiers.of(person(1))


@pytest.mark.parametrize("name", ALL)
def test_names_and_postal_codes_alone_identify_nobody(name: str) -> None:
    identifiers = Identifiers(provider_of(name), KEY)
    nameless = AudienceUser(first_name="Ada", last_name="Lovelace", country="gb", postal_code="W1")
    assert identifiers.of_users([nameless, *people(1)])[0] == ()


@pytest.mark.parametrize("name", ALL)
def test_a_user_without_some_identifiers_has_all_others_and_whatever_identifies_nobody(name: str) -> None:
    identifiers = Identifiers(provider_of(name), KEY)
    whole = AudienceUser(email="person1@example.com", phone=phone(1), edge_tag_id="e-1", first_name="Ada")
    by_phone = set(identifiers.of(AudienceUser(phone=phone(1))))
    left = identifiers.without(whole, by_phone)
    assert left is not None
    assert (left.email, left.phone, left.first_name) == (whole.email, None, "Ada")
    assert set(identifiers.of(left)) == set(identifiers.of(whole)) - by_phone
    assert identifiers.without(whole, set(identifiers.of(whole))) is None


def test_of_rows_by_hand_a_user_is_left_out_whole() -> None:
    settings = Webhook.settings_type.model_validate({"base_url": "https://hooks.example.com", "secret": "s"})
    identifiers = Identifiers(ByHand(settings, None), KEY)  # type: ignore[arg-type] # it calls nobody
    user = person(1, phone(1))
    [own] = [identifiers.of(user)]
    assert len(own) == 1
    assert identifiers.without(user, set(own)) is None


async def test_a_platform_that_takes_nobody_out_says_so_and_adds_nobody() -> None:
    platform = Platform()
    batch = AudienceBatch(batch_id="1", name="VIP", users=people(1), mode="remove")

    async def notice(*_: object) -> None:
        raise AssertionError

    outcome = await delivery_to(platform, 1_000_000).deliver(batch, notice)
    assert outcome.error is not None
    assert (outcome.status, outcome.error.code, platform.calls) == ("failed", "cannot_remove", [])
