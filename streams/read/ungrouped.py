"""Reading without a group. Kafka's client wants the name of one all the same, and asks who coordinates it."""

from typing import Any

_REQUIRED: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,  # so that positions pass what is no record
    "auto.offset.reset": "error",
}


def ungrouped(topic: str) -> dict[str, Any]:
    """Return how a topic is read without a group: nothing is ever committed.

    The name that the client gets begins as the topic's does, so that rights on groups of our prefix are enough.
    """
    return {**_REQUIRED, "group.id": f"{topic}.no-group"}
