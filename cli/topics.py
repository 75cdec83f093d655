"""The topics that a command works on."""

from collections.abc import Sequence

import structlog

from cli.settings.config import Config
from schemas.target import Target
from streams.cluster.topics import ensure_topics, layout

log = structlog.get_logger()


async def prepare_topics(config: Config, targets: Sequence[Target]) -> None:
    """See to the topics, those of these accounts included, and say what is odd."""
    groups = [target.group_id(config.names.prefix) for target in targets]
    specs = layout(config.names, groups)
    for difference in await ensure_topics(config.kafka, specs, allow_weaker=config.common.allow_weaker_topics):
        log.warning("A topic differs from what it should be.", difference=str(difference))
