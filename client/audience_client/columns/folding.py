"""Header names as they are compared: without case, accents, blanks and punctuation."""

import re
import unicodedata

_NUMBER = re.compile(r"(?<=[^\W\d])\d{1,2}(?=$|[^\W\d])")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")


def name_set(names: str) -> frozenset[str]:
    """Return the words of a table that is written as text."""
    return frozenset(names.split())


_WRAPPERS = name_set("""
    attributes contactinfo customattributes customfields data fields mergefields node person personal profile properties
    traits
""")
"""What programs write a customer within: `traits_email`, `data.attributes.email` and `properties.email.value`."""


def fold(name: str) -> str:
    """Return a name's letters and digits, as `countryregion` for `Country / Region` and `prenom` for `Prénom`."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def without_number(folded: str) -> tuple[str, int]:
    """Return a folded name without the number of a repeated column, and that number: `phone`, 2 for `phone2`."""
    numbers = _NUMBER.findall(folded)
    return (_NUMBER.sub("", folded), int(numbers[0])) if len(numbers) == 1 else (folded, 0)


def words(name: str) -> set[str]:
    """Return the folded words of a name, also of one in camel case."""
    plain = unicodedata.normalize("NFKD", name)
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return {word.lower() for word in _WORD.findall(bare)}


def unwrapped(name: str) -> str:
    """Return a name without what a customer is only written within."""
    for separator in (".", "_", " "):
        around, _, within = name.partition(separator)
        if within and fold(around) in _WRAPPERS:
            return unwrapped(within)
    return name
