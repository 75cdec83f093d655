"""Customer files of any kind, as users of an Audience API."""

from audience_client.clients import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
