"""`POST /audience` validates an upload and writes it to the log; `publisher` does the same without HTTP."""

import warnings
from importlib import import_module


def __getattr__(name: str) -> object:
    """Return what was imported from here before `audience` was the package to import from."""
    if name.startswith("_") or name not in vars(publisher := import_module("producer.publisher")):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    message = f"producer.{name} is audience.{name} now: import it from there"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return getattr(publisher, name)
