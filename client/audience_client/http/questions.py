"""Which session of several with one id is meant, and which sessions are listed."""

from datetime import datetime
from typing import TypedDict

from audience_client.http.batches import AudienceType, Mode


class Which(TypedDict, total=False):
    """An id's audience: where several audiences have sessions of one id, these choose."""

    name: str
    type: AudienceType
    mode: Mode


class Filters(TypedDict, total=False):
    """Which sessions are listed; `since` is a time or a span such as `2h`."""

    name: str
    type: AudienceType
    state: str
    since: datetime | str
