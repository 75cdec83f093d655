"""By what the records of one audience are known to be its own, whatever it was called when they were uploaded."""

from providers.kit.provider import AnyProvider
from schemas.records import AudienceBatch


def audience_key(provider: AnyProvider, batch: AudienceBatch) -> str:
    """Return the kind of a batch's audience and its name on the platform.

    A platform has one audience of a name, of either kind. What is for the other kind is refused, so it has no say.
    """
    return f"{batch.type}:{provider.platform_name(batch.name, disable_prefix=batch.disable_prefix)}"
