"""The keys by which identifiers of people are hashed where it is remembered who was removed."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b

VARIABLE = "AUDIENCE_HASH_KEYS"

SHORTEST = 16
"""Characters of a key: a shorter one could be tried out."""

DIGEST = 16
"""Bytes of a hash: two of a billion identifiers are the same once in 10^20 cases."""

_KEY_ID = 8
_LONGEST = 64
"""Bytes of a key that the hash takes; a longer one goes in as its own hash."""


class HashKeysMissingError(Exception):
    """A key is not set by which it is remembered who was removed."""


@dataclass(frozen=True, slots=True, repr=False)
class HashKey:
    """A key, which is never shown, and what it is known by."""

    secret: bytes

    @property
    def id(self) -> str:
        """What the key is known by: the first digits of its SHA-256."""
        return hashlib.sha256(self.secret).hexdigest()[:_KEY_ID]

    def hashed(self, texts: Iterable[bytes]) -> list[bytes]:
        """Return keyed hashes, from which nobody without the key can tell the texts by trying."""
        key = self.secret if len(self.secret) <= _LONGEST else blake2b(self.secret).digest()
        begun = blake2b(digest_size=DIGEST, key=key)
        found = []
        for text in texts:
            one = begun.copy()
            one.update(text)
            found.append(one.digest())
        return found


@dataclass(frozen=True, slots=True, repr=False)
class HashKeys:
    """The keys of a deployment. The first one hashes; the others are those that it hashed by before."""

    first: HashKey
    others: tuple[HashKey, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """What the keys are known by."""
        return frozenset(key.id for key in (self.first, *self.others))

    def lacks(self, ids: Iterable[str]) -> Collection[str]:
        """Return those of some ids whose key is not here, in order."""
        return sorted(set(ids) - self.ids)


def parse_hash_keys(text: str) -> HashKeys:
    """Return the keys that a setting names, separated by commas. Raises ValueError, without a value."""
    keys = [part.strip().encode() for part in text.split(",")]
    if not all(keys):
        raise ValueError("a key is empty; write keys separated by commas, or one alone")
    if any(len(key) < SHORTEST for key in keys):
        raise ValueError(f"a key is shorter than {SHORTEST} characters; make one with `openssl rand -hex 32`")
    first, *others = map(HashKey, dict.fromkeys(keys))
    return HashKeys(first, tuple(others))
