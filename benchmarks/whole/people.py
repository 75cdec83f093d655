"""Made-up customers by the million, as JSON, without an object for each."""

import secrets

FIRST = ("Ada", "Alan", "Grace", "Edsger", "Barbara", "Donald", "Frances", "Tony", "Radia", "Niklaus", "Hedy", "Dennis")
LAST = ("Lovelace", "Turing", "Hopper", "Dijkstra", "Liskov", "Knuth", "Allen", "Hoare", "Perlman", "Wirth", "Lamarr")
MOST = 7_000_000
"""So many have numbers of their own."""


def users_json(numbers: range, *, is_untidy: bool) -> bytes:
    """Return customers as a client sends them, each with an address and a number of its own, some 240 bytes of each.

    Untidy ones are as people write them: numbers in national form, spaces, capitals, accents.
    """
    write = _untidy if is_untidy else _clean
    return f"[{','.join(map(write, numbers))}]".encode()


def _clean(number: int) -> str:
    who = f'"edgeTagId":"edge-{number}","email":"person{number}@example.com","phone":"+1415{2_000_000 + number}"'
    name = f'"firstName":"{FIRST[number % len(FIRST)]}","lastName":"{LAST[number % len(LAST)]}"'
    return f'{{{who},{name},"country":"US","postalCode":"{_postal_code(number)}",{_purchase(number)}}}'


def _untidy(number: int) -> str:
    phone = f"(415) {200 + number // 10_000}-{number % 10_000:04}"
    who = f'"edgeTagId":"edge-{number}","email":" Person.{number}@Example.COM ","phone":"{phone}"'
    name = f'"firstName":"Anne-Marié {number}","lastName":"{LAST[number % len(LAST)]}"'
    return f'{{{who},{name},"country":"United States","postalCode":"{_postal_code(number)}-1234",{_purchase(number)}}}'


def _postal_code(number: int) -> int:
    return 10_000 + number * 7_919 % 89_000


def _purchase(number: int) -> str:
    return f'"purchase":{{"currency":"USD","profit":{number / 4},"total7Days":1.0}}'


BOUNDARY = f"made-up-{secrets.token_hex(8)}"
CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def upload(place: str, users: bytes) -> bytes:
    """Return a form with users, whose place in a session is `place`."""
    texts = [_part("name", "VIP"), _part("batch", place), _part("users", "")[:-2]]
    return "".join(texts).encode() + users + f"\r\n--{BOUNDARY}--\r\n".encode()


def _part(name: str, value: str) -> str:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
