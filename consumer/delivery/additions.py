"""The one call that adds rows to an audience, whoever they are of."""

from collections.abc import Sequence

import msgspec

from consumer.delivery.audiences import Audiences
from consumer.delivery.platform_calls import RowsRefusedError
from providers.kit.errors import AudienceGoneError, RejectError
from providers.kit.provider import AnyProvider, Sent


async def add(
    provider: AnyProvider, audiences: Audiences, name: str, audience_id: str, rows: Sequence[msgspec.Raw]
) -> Sent:
    """Add rows to the audience that bears a name. Raises PlatformError; RowsRefusedError."""
    try:
        return await provider.send(audience_id, rows)
    except AudienceGoneError:
        audiences.forget(name, audience_id)
        raise
    except RejectError as error:
        raise of_rows(error) from error


def of_rows(error: RejectError) -> RejectError:
    """Return what the search for refused rows goes by where an error is about rows."""
    return RowsRefusedError(error) if error.scope == "row" else error
