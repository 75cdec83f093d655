"""Columns that must never leave, and those that look like personal data."""

import re
from collections.abc import Iterable, Sequence

from audience_client.columns.folding import fold, name_set, words

_WITHIN = (
    "password",
    "passwd",
    "passwort",
    "kennwort",
    "motdepasse",
    "contrasena",
    "wachtwoord",
    "senhahash",
    "rptoken",
    "accesstoken",
    "refreshtoken",
    "resettoken",
    "apikey",
    "apitoken",
    "authtoken",
    "secretkey",
    "clientsecret",
    "cardnumber",
    "cardno",
    "creditcard",
    "kreditkarte",
    "ccnumber",
    "ccnum",
    "securitycode",
    "bankaccount",
    "socialsecurity",
    "passportnumber",
)
_WHOLE = name_set("pwd salt token secret pin cvv cvc cvv2 iban ssn pan mdp card")
_FLAGS = re.compile(r"force.?password|password.?(changed|updated|reset.?at|set)|last4|brand", re.IGNORECASE)

_HASH = re.compile(r"\$(2[abxy]|argon2\w*|5|6|P|1|scrypt)\$.+|[0-9a-f]{32,128}:[\w+/=-]{8,}(:\d+)?|pbkdf2\w*\$.+")
_CARD = re.compile(r"[3-6]\d{3}[ -]?\d{4}[ -]?\d{4}[ -]?\d{1,7}")

_PERSONAL = name_set("""
    email emails mail phone phones mobile telephone tel telefon cell fax name names firstname lastname surname nickname
    username birthday birthdate birth dob doby gender sex age address address1 street city town zip postcode postal ip
    latitude longitude geburtstag geburtsdatum geschlecht adresse strasse ort rue ville direccion calle ciudad madid
    idfa gaid passport tax taxvat vat facebook instagram linkedin twitter whatsapp
""")
_NOT_PERSONAL = name_set("""
    accepts marketing consent count opened clicked opens clicks bounced status source campaign type date time timestamp
    tag tags verified subscription subscriber suppressions opt optin optout newsletter sent template domain owner
""")
ADDRESS = re.compile(r"[^@\s]+@[\w.-]+\.\w+")
PHONE = re.compile(
    r"(?!\d{4}-\d\d-\d\d|\d{1,2}[/-]\d{1,2}[/-]\d{2,4}\b)('?(\+|00)[\d ()./-]{8,22}|\(?0?\d{2,5}[)/ -][\d /-]{5,14})"
)
"""Days are no numbers."""


def is_protected(column: str, samples: Iterable[str] = ()) -> bool:
    """Tell whether a column holds passwords, their hashes, keys, or numbers of cards and bank accounts."""
    folded = fold(column)
    if _FLAGS.search(column):
        return False
    if folded in _WHOLE or folded.endswith("token") or any(part in folded for part in _WITHIN):
        return True
    filled = [value.strip() for value in samples if value.strip()]
    return bool(filled) and (all(map(_HASH.fullmatch, filled)) or all(map(_is_card, filled)))


def looks_personal(column: str, samples: Sequence[str]) -> bool:
    """Tell whether a column seems to be about a person, by its name or by its values."""
    named = words(column)
    if named & _PERSONAL and not named & _NOT_PERSONAL:
        return True
    return mostly(ADDRESS, samples) or mostly(PHONE, samples)


def mostly(pattern: "re.Pattern[str]", samples: Sequence[str]) -> bool:
    """Tell whether most of the values that are there have a form."""
    filled = [value.strip() for value in samples if value.strip()]
    return bool(filled) and sum(map(bool, map(pattern.fullmatch, filled))) * 2 > len(filled)


def _is_card(value: str) -> bool:
    """Tell whether a value has the form of a card's number and its check digit (ISO/IEC 7812)."""
    if not _CARD.fullmatch(value):
        return False
    digits = [int(digit) for digit in value if digit.isdigit()][::-1]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return 15 <= len(digits) <= 19 and (sum(digits[::2]) + sum(doubled)) % 10 == 0
