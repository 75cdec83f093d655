"""The channels that a batch is published for: nobody would get one for a target that no account has."""

from collections.abc import Sequence

from producer.publisher import AudiencePublisher, InvalidBatchError, NothingWrittenError
from providers.installed import installed
from schemas.did_you_mean import did_you_mean
from schemas.target import parse_target

_ANYWAY = "--any-channel publishes for any"


def parse_channels(text: str) -> list[str]:
    """Parse targets. Raises InvalidBatchError."""
    try:
        return [str(parse_target(part)) for part in text.split(",")]
    except ValueError as error:
        raise InvalidBatchError(f"channels: {error}") from None


async def check_known(channels: Sequence[str], publisher: AudiencePublisher, topic: str) -> None:
    """Raise InvalidBatchError for a target that no known account has: nobody would get the batch, without an error."""
    try:
        known, why = await publisher.accounts(), ""
    except NothingWrittenError as error:
        known, why = [], str(error)
    names = list(dict.fromkeys(name for account in known for name in (parse_target(account).provider, account)))
    unknown = [channel for channel in channels if channel not in names]
    if unknown:
        raise InvalidBatchError(f"channels: {_instead(unknown, names) or why or _none(topic)}; {_ANYWAY}")


def _instead(unknown: Sequence[str], known: Sequence[str]) -> str | None:
    """Return which targets there are, None where nobody knows."""
    if known:
        return f"there are accounts for {', '.join(known)}{did_you_mean(unknown, known)}"
    is_strange = any(parse_target(channel).provider not in installed() for channel in unknown)
    return f"there are {', '.join(installed())}{did_you_mean(unknown, installed())}" if is_strange else None


def _none(topic: str) -> str:
    return f"no account is registered on {topic} yet, which `audience serve` and `audience consume` do at their start"
