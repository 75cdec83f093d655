"""The cookie of who has signed in: when it ends, signed by a key that is derived from the token.

Any node that knows the token takes it, and none any more once the token is removed. It does not hold the token.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from itsdangerous import BadSignature, Signer
from pydantic import SecretStr

NAME = "audience_console"
LASTS = timedelta(hours=12)
SALT = "audience console"
LONGEST = 200
"""Characters that a cookie of ours may have, so that nobody lets us hash more."""


def signed(token: SecretStr, now: datetime) -> str:
    """Return a cookie for who knows a token."""
    return _signer(token).sign(str(int((now + LASTS).timestamp()))).decode()


def is_signed_by(cookie: str, tokens: Iterable[SecretStr], now: datetime) -> bool:
    """Tell whether a cookie is of one of these tokens and has not ended."""
    if len(cookie) > LONGEST:
        return False
    return any(_ends_at(cookie, token) > now for token in tokens)


def _ends_at(cookie: str, token: SecretStr) -> datetime:
    """Return when a cookie ends; long ago, if it is not of this token."""
    try:
        return datetime.fromtimestamp(int(_signer(token).unsign(cookie)), UTC)
    except (BadSignature, ValueError, OverflowError, OSError):
        return datetime.min.replace(tzinfo=UTC)


def _signer(token: SecretStr) -> Signer:
    return Signer(token.get_secret_value(), salt=SALT, key_derivation="hmac", digest_method=hashlib.sha256)
