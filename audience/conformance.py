"""What every provider must keep to, as tests; they need pytest, pytest-asyncio and hypothesis."""

from providers.conformance import USERS, LiveConformance, ProviderConformance, Stage, full_user

__all__ = ["USERS", "LiveConformance", "ProviderConformance", "Stage", "full_user"]
