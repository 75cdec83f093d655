"""The bounds of what a batch may hold: one list for the endpoint, publishers, consumers and the ledger."""

from datetime import timedelta
from typing import Annotated

from msgspec import Meta

MAX_TEXT = 1024
"""Characters that a field of a user may have: far above any real value, so that one user always fits a record."""

MAX_NAME = 255
"""Characters of an audience's name."""

MAX_SESSION_ID = 1024
"""Characters of a session's id; the endpoint's are numbers."""

MAX_CHANNELS = 1000
MAX_CHANNEL = 128
"""How many targets a batch may name, and their characters: Kafka's names of groups and topics hold no more than 249."""

MAX_USERS = 250_000
"""Users of a request, and so of a record."""

MAX_WHOLE = 2**53
"""The largest whole number, also of a user's index in the request: JSON's numbers are exact up to here."""

MAX_RECORD = 900_000
"""Bytes of a record before compression; a broker's default limit is 1,048,588, the client's 1,000,000."""

MAX_ATTEMPTS = 2**30
"""Attempts that a pointer may tell of: those that are made before the next one is written still fit Avro's int."""

MAX_PENDING = timedelta(days=60)
"""How far ahead of its writing a pointer's times may be: twice as long as a record stands in the log."""

MAX_INVALID_ID = 64
"""Characters that are told of a batch id that is no UUID."""

MAX_INVALID_CHANNELS = 20
"""Channels that are told of a batch that names too many."""

Int = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""Avro's int: fastavro neither reads nor writes it by its bounds."""
