"""The key by which `audience up` remembers who was removed where none is set: made once, in its data folder."""

import os
import secrets
from pathlib import Path

from cli.settings.config import ConfigError
from schemas.hash_keys import VARIABLE, parse_hash_keys

FILE = "hash-key"


def own_hash_key(folder: Path) -> str:
    """Return the key in a folder, which is made where there is none, for this user alone. Raises ConfigError."""
    path = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        key = path.read_text(encoding="ascii").strip()
        parse_hash_keys(key)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds no key"
        raise ConfigError(f"{VARIABLE}: {path} can't be used ({why}); set the variable, or see to that file") from None
    return key


def _make(path: Path) -> None:
    """Make a key under a name of its own, and have it appear whole."""
    made = path.with_name(f"{FILE}-{os.getpid()}")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
