"""The settings that the demo runs with, whatever is configured."""

from collections.abc import Mapping
from pathlib import Path

from cli.settings.environment import DATA, ENV_FILE, Environment
from providers.installed import installed


def demo_environment(process: Mapping[str, str], folder: str = "demo") -> Environment:
    """Return an environment that no `.env` and no setting of a provider, a cluster or a token reaches.

    Its data has a folder of its own within that of the process.
    """
    foreign = (*(f"{name.upper()}_" for name in installed()), "KAFKA_", "SCHEMA_REGISTRY_")
    ours = ("AUDIENCE_PROVIDERS", "AUDIENCE_API_TOKENS", "AUDIENCE_TOPIC_PREFIX", "AUDIENCE_HEALTH_LISTEN")
    kept = {
        name: value
        for name, value in process.items()
        if value and (name == "KAFKA_HOME" or not name.startswith(foreign)) and name not in ours
    }
    data = Path(kept.get(DATA, ".data")).absolute() / folder
    values = kept | {DATA: str(data), ENV_FILE: ""}
    return Environment(values, dict.fromkeys(values, "environment"))
