"""Made-up customers for the demo, and what each platform must hold of them, worked out apart from the adapters."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

Member = tuple[str, ...]

_AREAS = (
    *(212, 312, 415, 617, 713, 202, 203, 205, 206, 210, 213, 214, 215, 216, 303, 304, 305, 313, 314, 402),
    *(404, 405, 406, 408, 410, 412, 502, 503, 504, 505, 510, 512, 602, 603, 612, 614, 702, 703, 704, 801),
)
"""Area codes; with 555 and four digits behind them numbers that nobody is given."""

MOST_PEOPLE = 10_000 * len(_AREAS)
"""From this number on phone numbers come again."""


@dataclass(frozen=True, slots=True)
class Person:
    """A customer as uploaded, and as a member on each platform that can use them."""

    user: dict[str, object]
    members: dict[str, Member]


def make_people(count: int, start: int = 0) -> Iterator[Person]:
    """Yield made-up customers from a number on: most are clean, some untidily written, some of no use to a platform.

    Nobody below MOST_PEOPLE shares anything that platforms tell people by.
    """
    for number in range(start, start + count):
        kind = _KINDS.get(number % 100, _clean)
        yield kind(number)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _clean(number: int) -> Person:
    mail, phone, ident = (
        f"person{number}@example.com",
        f"+1{_AREAS[number // 10_000 % len(_AREAS)]}{5550000 + number % 10_000}",
        f"edge-{number}",
    )
    user = {"edgeTagId": ident, "email": mail, "phone": phone, "firstName": "Ada", "country": "US"}
    facebook = (ident, _hash(mail), _hash(phone[1:]), _hash("ada"), _hash("us"))
    members = {
        "facebook": facebook,
        "tiktok": (_hash(mail), _hash(phone)),
        "klaviyo": (mail, phone, ident),
    }
    return Person({**user, "purchase": {"currency": "USD", "profit": number / 4}}, members)


def _untidy(number: int) -> Person:
    mail = f"person{number}@example.com"
    user = {"email": f"  Person{number}@Example.COM ", "lastName": "O'Neil-Valéry", "postalCode": "SW1A 1AA"}
    facebook = (_hash(mail), _hash("oneilvaléry"), _hash("sw1a1aa"))
    return Person(dict(user), {"facebook": facebook, "tiktok": (_hash(mail),), "klaviyo": (mail,)})


def _known_by_id(number: int) -> Person:
    ident = f"edge-{number}"
    return Person({"edgeTagId": ident}, {"facebook": (ident,), "klaviyo": (ident,)})


def _hashed(number: int) -> Person:
    digest = _hash(f"person{number}@example.com")
    return Person({"email": digest.upper()}, {"facebook": (digest,), "tiktok": (digest,)})


def _no_address(number: int) -> Person:
    return Person({"email": f"person {number} at example.com"}, {})


def _nobody(number: int) -> Person:
    return Person({"firstName": f"Person {number}"}, {})


_KINDS = {7: _untidy, 17: _untidy, 27: _known_by_id, 37: _hashed, 47: _no_address, 57: _nobody}
