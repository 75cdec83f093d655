"""Two hundred awkward users, and what a preview of them shows."""

import hashlib
import json
from typing import Any

import msgspec

from cli.dry_run.requests import preview
from consumer.account.account import Account
from providers.installed import installed
from sandbox import CREDENTIALS
from schemas.records import AudienceBatch, AudienceUser, Purchase
from schemas.target import Target

GIVEN_HASH = hashlib.sha256(b"someone@example.com").hexdigest()

EMAILS = [
    " Ada@Example.COM ",
    "ada+news@example.com",
    "ada.lovelace@example.com",
    "valéry@example.com",
    "nobody",
    "a b@c.de",
    GIVEN_HASH.upper(),
    "x" + GIVEN_HASH,
    "",
    None,
]
PHONES = [
    "+1 (415) 555-0100",
    "(415) 555-0100",
    "0044 20 7946 0958",
    "+44 (0)20 7946 0958",
    "+001-415-555-0100",
    "14155550100",
    "+0000000000",
    "call me",
    GIVEN_HASH,
    None,
]
NAMES = [
    ("Anne-Marie", "O'Neil"),
    ("정", "김"),
    ("Vale\u0301ry", "Ærø"),
    ("-", " "),
    (GIVEN_HASH, None),
    (None, None),
]
PLACES = [
    ("US", "94107-1234"),
    ("United Kingdom", "SW1A 1AA"),
    ("DEU", "10117"),
    ("Atlantis", "00-1"),
    ("uk", None),
    (None, "94107-1234"),
    (None, None),
]
PURCHASES = [
    None,
    Purchase(currency="USD", profit=12.5, total_7_days=3),
    Purchase(currency="EUR", profit=1.0),
    Purchase(profit=-5.0),
    Purchase(),
]


def _awkward(number: int) -> AudienceUser:
    first, last = NAMES[number % len(NAMES)]
    country, postal_code = PLACES[number % len(PLACES)]
    return AudienceUser(
        edge_tag_id=[None, "edge-1 ", " ", "e" * 300, f"edge-{number}"][number % 5] if number % 3 else None,
        email=EMAILS[number % 10],
        phone=PHONES[number // 10 % 10],
        first_name=first,
        last_name=last,
        country=country,
        postal_code=postal_code,
        purchase=PURCHASES[number % len(PURCHASES)],
    )


AWKWARD = [_awkward(number) for number in range(200)]


async def previewed(name: str, users: list[AudienceUser], **settings: str) -> tuple[list[Any], Any]:
    """Return the requests of a preview, and one account's summary."""
    kind = installed()[name]
    prefix = f"{name.upper()}_"
    values = {variable.removeprefix(prefix).lower(): value for variable, value in CREDENTIALS[name].items()}
    account = Account(
        target=Target(name), kind=kind, settings=kind.settings_type.model_validate({**values, **settings})
    )
    batch = AudienceBatch(batch_id="00000000-0000-0000-0000-000000000000", name="VIP customers", users=users)
    lines: list[bytes] = []
    await preview(batch, [account], lines.append)
    *requests, last = map(json.loads, lines)
    return requests, last["summary"][name]


def as_json(users: list[AudienceUser]) -> bytes:
    """Return users as a client sends them."""
    return msgspec.json.encode(users)
