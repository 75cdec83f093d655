"""Local stand-ins of the platforms' APIs: they answer as the real ones do, errors included."""

from sandbox.app import create_app, serve
from sandbox.kit.credentials import CREDENTIALS
from sandbox.kit.options import SandboxOptions

__all__ = ["CREDENTIALS", "SandboxOptions", "create_app", "serve"]
