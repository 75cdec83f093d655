"""Countries as people write them: ISO 3166 codes of two or three letters, names, everyday names."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache

import iso3166

# What people write and ISO 3166 does not say; keys as `_key` makes them. XK is what Kosovo uses for itself.
_EVERYDAY: dict[str, str] = {
    "uk": "gb",
    "united kingdom": "gb",
    "great britain": "gb",
    "britain": "gb",
    "england": "gb",
    "scotland": "gb",
    "wales": "gb",
    "northern ireland": "gb",
    "united states": "us",
    "america": "us",
    "u s": "us",
    "u s a": "us",
    "u k": "gb",
    "brunei": "bn",
    "burma": "mm",
    "cape verde": "cv",
    "cote divoire": "ci",
    "czech republic": "cz",
    "dr congo": "cd",
    "east timor": "tl",
    "holland": "nl",
    "hong kong sar": "hk",
    "ivory coast": "ci",
    "korea": "kr",
    "kosovo": "xk",
    "laos": "la",
    "macau": "mo",
    "macedonia": "mk",
    "netherlands": "nl",
    "north korea": "kp",
    "republic of ireland": "ie",
    "russia": "ru",
    "south korea": "kr",
    "swaziland": "sz",
    "syria": "sy",
    "turkey": "tr",
    "uae": "ae",
    "united arab emirates": "ae",
    "us virgin islands": "vi",
    "british virgin islands": "vg",
    "vatican": "va",
    "vatican city": "va",
    "vietnam": "vn",
    "xk": "xk",
    "xkx": "xk",
}


@lru_cache(maxsize=4096)
def alpha_2(text: str) -> str | None:
    """Return the ISO 3166-1 alpha-2 code in lower case of a code or a name in English; None if it is none."""
    return _table().get(_key(text))


@cache
def _table() -> Mapping[str, str]:
    countries = list(iso3166.countries)
    found = {key: country.alpha2.lower() for country in countries for key in _short_forms(country.name, countries)}
    for country in countries:
        code = country.alpha2.lower()
        found |= dict.fromkeys((code, country.alpha3.lower(), _key(country.name), _key(country.apolitical_name)), code)
    return found | _EVERYDAY


def _short_forms(name: str, countries: list[iso3166.Country]) -> Iterator[str]:
    """Yield `Korea, Republic of` turned round, what is before a comma if only one is called so, no brackets."""
    before = Counter(country.name.partition(",")[0] for country in countries)
    first, comma, rest = name.partition(",")
    if comma:
        yield _key(f"{rest} {first}")
        if before[first] == 1:
            yield _key(first)
    if "(" in name:
        yield _key(name.partition("(")[0] + name.partition(")")[2])


def _key(text: str) -> str:
    """Return letters in lower case without accents, words by one space, articles left out."""
    plain = unicodedata.normalize("NFKD", text).casefold().replace("'", "").replace("\u2019", "")
    letters = "".join(" " if not letter.isalpha() else letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(word for word in letters.split() if word != "the")
