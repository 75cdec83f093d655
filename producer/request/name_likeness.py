"""Members by the other names that clients know them by: which of ours is meant, as far as a name tells."""

import re
from collections.abc import Mapping

from producer.request.client_names import is_slip

Likenesses = Mapping[str, str]
"""Our name of a member by each name that it is known by, in lower case and without separators."""

LONGEST = 64
"""Characters of a name that is looked at; no field's name is longer."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")


def _likenesses(**others: str) -> Likenesses:
    return {other: ours for ours, words in others.items() for other in (ours.lower(), *words.split())}


# What the columns are called in the platforms' templates, and in the exports of shops and CRM systems.
USER_LIKENESSES = _likenesses(
    edgeTagId="edgetag edgeid tagid edgetaguserid externid externalid",
    email="mail emailaddress emailaddr mailaddress emailid emailsha emailhash",
    phone="phonenumber phoneno tel telephone telephonenumber telephoneno mobile mobilenumber mobilephone cell cellphone"
    " cellnumber msisdn phonesha phonehash",
    firstName="fname fn first given givenname forename",
    lastName="lname ln last surname family familyname",
    country="countrycode countryname countryiso isocountry",
    postalCode="zip zipcode postcode postal postalzip plz",
    purchase="purchases",
)
PURCHASE_LIKENESSES = _likenesses(
    currency="currencycode", profit="profits profitvalue", total7Days="totalsevendays total7d totallast7days"
)
BATCH_LIKENESSES = _likenesses(
    sessionId="session", sequence="seq sequencenumber", totalBatches="batchcount", totalUsers="usercount", pullDate=""
)


def meant_member(name: str, likenesses: Likenesses) -> str | None:
    """Return the member of ours that a name resembles, None where it resembles none.

    Case, separators and a number at the end do not count, nor do words in front: `Billing phone 2` is a phone.
    """
    if len(name) > LONGEST:
        return None
    words = [word.casefold() for word in _WORD.findall(name)]
    while words and words[-1].isdecimal():
        words.pop()
    endings = ("".join(words[start:]) for start in range(len(words)))
    known = next((likenesses[ending] for ending in endings if ending in likenesses), None)
    return known or _slipped("".join(words), likenesses)


def _slipped(name: str, likenesses: Likenesses) -> str | None:
    return next((ours for ours in dict.fromkeys(likenesses.values()) if is_slip(name, ours.lower())), None)
