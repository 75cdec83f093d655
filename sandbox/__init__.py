"""Local stand-ins of the platforms' APIs: they answer as the real ones do, errors included.

What serves them is in `sandbox.app`: commands that only need to know the credentials load no server.
"""

from sandbox.kit.credentials import CREDENTIALS
from sandbox.kit.options import SandboxOptions

__all__ = ["CREDENTIALS", "SandboxOptions"]
