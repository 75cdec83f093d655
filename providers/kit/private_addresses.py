"""Which addresses may be called where a person, not a platform, chose the URL."""

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver


class PrivateAddressError(OSError):
    """The host is, or resolves to, an address that is not public."""


def is_literal(host: str) -> bool:
    """Tell whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet: neither this machine nor a network around it."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        return is_public(str(inner)) if inner else parsed.is_global and not parsed.is_multicast
    return parsed.is_global and not parsed.is_multicast


class PublicResolver(AbstractResolver):
    """Resolves names as usual and refuses those that have an address which is not public.

    The client connects to the addresses returned here, so that a name can't change its mind in between.
    """

    def __init__(self) -> None:
        self._inner = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return a host's addresses. Raises PrivateAddressError, OSError."""
        found = await self._inner.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise PrivateAddressError("the host has an address that is not public")
        return found

    async def close(self) -> None:
        """Close the resolver."""
        await self._inner.close()
