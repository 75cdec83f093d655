"""Modules that authors imported before `audience.provider` held all they need: these names keep working."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

NOW: Mapping[str, str] = {
    "providers.base": "providers.kit.provider",
    "providers.bodies": "providers.kit.rows.body_template",
    "providers.columns": "providers.kit.rows.columns",
    "providers.errors": "providers.kit.errors",
    "providers.http": "providers.kit.http",
    "providers.normalise": "providers.kit.rows.normalisers",
    "providers.pace": "providers.kit.rate_limiter",
    "providers.rules": "providers.kit.rows.rules",
    "providers.settings": "providers.kit.settings",
}


class FormerNames(MetaPathFinder, Loader):
    """Finds the modules by their former names; each is filled with what the module of today holds."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a former name leads, None for any other name."""
        del path, target
        return spec_from_loader(fullname, self) if fullname in NOW else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill a module, and tell its importer where these names are now."""
        message = f"{module.__name__} is audience.provider now: import its names from there"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        held = vars(import_module(NOW[module.__name__]))
        vars(module).update({name: value for name, value in held.items() if not name.startswith("__")})


def keep() -> None:
    """Let the former names be imported, behind whatever else is found by them."""
    if not any(isinstance(finder, FormerNames) for finder in sys.meta_path):
        sys.meta_path.append(FormerNames())
