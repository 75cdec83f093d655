"""Compare our hashes with those of Segment's connectors, which are in production: `make second-opinion`.

Needs Node 20 and npm. Exits 1 on a difference that has no reason below.
"""

import json
import random
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from providers.facebook.provider import FIELDS, Facebook, FacebookSettings
from providers.kit.provider import AnyProvider, Rejection
from providers.kit.rows import normalisers as normalise
from providers.tiktok import SCHEMA, TikTok, TikTokSettings
from schemas.records import AudienceUser

USERS = 1000
SEGMENT = Path(__file__).parent / "segment"
NOTHING = normalise.sha256_hex("")

Reason = Callable[[str, str, str], bool]
"""Tells of what was uploaded, of our hash and of theirs whether this is why they differ."""


def _is_hash_in_capitals(text: str, ours: str, theirs: str) -> bool:
    return normalise.as_hash(text) == ours and theirs != ours and theirs.lower() == ours


def _is_not_international(text: str, ours: str, theirs: str) -> bool:
    return not re.match(r"\s*(\+|00)", text)


REASONS: Mapping[str, list[tuple[str, Reason]]] = {
    "EMAIL": [
        ("we leave out what is no address", lambda text, ours, _: not ours and normalise.email(text) is None),
        ("we write accents as one character (NFC)", lambda text, *_: unicodedata.normalize("NFC", text) != text),
    ],
    "PHONE": [
        ("a hash must be in lower case; theirs stays as it is", _is_hash_in_capitals),
        ("we leave out what is no number", lambda text, ours, _: not ours and normalise.phone(text) is None),
        ("we read national numbers with the user's country, as Meta wants the country's code", _is_not_international),
        ("the 0 in +44 (0)20 is not dialled from abroad", lambda text, *_: "(0)" in text),
    ],
    "FN": [
        ("we leave out what has no letters", lambda text, ours, _: not ours and not normalise.name(text)),
        ("we write accents as one character (NFC)", lambda text, *_: unicodedata.normalize("NFC", text) != text),
        ("we drop symbols as well as punctuation", lambda text, *_: bool(re.search(r"[+$^`|~<>=]", text))),
    ],
    "COUNTRY": [
        ("we map names and codes of three letters, and leave out what is no country",
         lambda text, *_: text.strip().lower() != normalise.country(text)),
    ],
    "ZIP": [
        ("they cut at a hyphen whatever the country, and keep capitals and spaces there",
         lambda text, *_: "-" in text),
    ],
    "EMAIL_SHA256": [
        ("we leave out what is no address", lambda text, ours, _: not ours and normalise.email(text) is None),
        ("they keep spaces, which TikTok's newest page drops", lambda text, *_: text.strip() != text),
        ("we write accents as one character (NFC)", lambda text, *_: unicodedata.normalize("NFC", text) != text),
    ],
    "PHONE_SHA256": [
        ("a hash must be in lower case; theirs stays as it is", _is_hash_in_capitals),
        ("they hash numbers as they come, TikTok wants E.164",
         lambda text, *_: not re.fullmatch(r"\+[1-9][0-9]{6,14}", text)),
    ],
}  # fmt: skip
REASONS = {**REASONS, "LN": REASONS["FN"]}


def make_users(count: int) -> Iterator[AudienceUser]:
    """Yield made-up users, mostly clean and some awkward; the same each time."""
    chance = random.Random(20)  # noqa: S311 -- the same each time is what is wanted
    names = [
        "Ada",
        " Grace ",
        "Anne-Marie",
        "O'Neil",
        "Valéry",
        "Vale\u0301ry",
        "정",
        "John Smith1",
        "-",
        "Zoë",
        "A+B",
        "Ærø",
    ]
    places = [("US", "94107"), ("US", "94107-1234"), ("GB", "SW1A 1AA"), ("United Kingdom", "M1 1AE"), ("DEU", "10117")]
    places += [("jp", "100-0001"), ("CA", " K1A 0A6 "), ("uk", "EC1A"), ("Atlantis", "00"), ("fr", "75001")]
    for number in range(count):
        phone = f"{chance.randrange(200, 999)}555{chance.randrange(10_000):04}"
        mail = chance.choice([f"person{number}@example.com"] * 5 + [f" Person.{number}+x@Example.com ", "nobody"])
        phones = [f"+1{phone}"] * 5 + [f"+1 ({phone[:3]}) {phone[3:6]}-{phone[6:]}", f"001{phone}", phone]
        phones += [f"+44 (0)20 7946 {chance.randrange(10_000):04}", "+000000000", "call me"]
        if number % 20 == 7:
            mail = normalise.sha256_hex(mail).upper()
        country, postal_code = chance.choice(places)
        yield AudienceUser(
            edge_tag_id="edge",  # so that every user makes a row at Facebook
            email=mail,
            phone=normalise.sha256_hex(phone).upper() if number % 20 == 9 else chance.choice(phones),
            first_name=chance.choice(names),
            last_name=chance.choice(names),
            country=country,
            postal_code=postal_code,
        )


def our_cells(user: AudienceUser) -> dict[str, dict[str, str]]:
    """Return our hashes by platform and column; TikTok's by its older rule, which Segment follows."""
    facebook = Facebook(FacebookSettings(access_token="x", ad_account_id="1"), None)  # type: ignore[arg-type] # rows call nobody
    settings = TikTokSettings(access_token="x", advertiser_id="1", strip_aliases=True)
    tiktok = TikTok(settings, None)  # type: ignore[arg-type] # the same
    return {"facebook": _cells(facebook, tuple(FIELDS), user), "tiktok": _cells(tiktok, SCHEMA, user)}


def _cells(provider: AnyProvider, columns: tuple[str, ...], user: AudienceUser) -> dict[str, str]:
    row = provider.row(user)
    return dict.fromkeys(columns, "") if isinstance(row, Rejection) else dict(zip(columns, row, strict=True))


def their_cells(users: list[AudienceUser]) -> list[dict[str, dict[str, str]]]:
    """Return Segment's hashes by platform and column."""
    fields = ("email", "phone", "first_name", "last_name", "country", "postal_code")
    names = ("email", "phone", "firstName", "lastName", "country", "postalCode")
    lines = (dict(zip(names, (getattr(user, field) for field in fields), strict=True)) for user in users)
    ran = subprocess.run(
        ["node", "hashes.cjs"],  # noqa: S607 -- whichever Node there is
        cwd=SEGMENT, input="\n".join(map(json.dumps, lines)), capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return [json.loads(line) for line in ran.stdout.splitlines()]


OURS = {"EMAIL_SHA256": "email", "PHONE_SHA256": "phone", **FIELDS}
ATTRIBUTES = dict(zip(AudienceUser.__struct_encode_fields__, AudienceUser.__struct_fields__, strict=True))


def main() -> None:
    """Print what agrees, and each difference's reason with its count."""
    users = list(make_users(USERS))
    agreeing: Counter[str] = Counter()
    found: Counter[tuple[str, str]] = Counter()
    for user, theirs in zip(users, their_cells(users), strict=True):
        for platform, cells in our_cells(user).items():
            for column, cell in theirs[platform].items():
                place = f"{platform} {column}"
                if cells[column] == cell:
                    agreeing[place] += 1
                else:
                    text = getattr(user, ATTRIBUTES[OURS[column]]) or ""
                    found[place, _reason(column, text, cells[column], cell)] += 1
    for place, count in sorted(agreeing.items()):
        print(f"{place}: {count} of {USERS} agree")  # noqa: T201 -- the output
    for (place, reason), count in sorted(found.items()):
        print(f"{place}: {count} differ: {reason or 'NO REASON KNOWN'}")  # noqa: T201 -- the output
    sys.exit(1 if any(not reason for _, reason in found) else 0)


def _reason(column: str, text: str, ours: str, theirs: str) -> str:
    return next((reason for reason, is_it in REASONS[column] if is_it(text, ours, theirs)), "")


if __name__ == "__main__":
    main()
