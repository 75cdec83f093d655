"""Which proxy an account's calls go through: its own, else the environment's for the platform's own host."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from yarl import URL

NONE = "off"
"""What is set where an account is to be called without a proxy, whatever the environment says."""

SCHEMES = ("http", "https")


def environment_proxy(host: str, scheme: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable and the proxy that it sets for a host, None where there is none or NO_PROXY names the host.

    HTTPS_PROXY or HTTP_PROXY counts, then ALL_PROXY; of each the name in lower case first, as everywhere.
    """
    if _is_named(host, environ.get("no_proxy") or environ.get("NO_PROXY") or ""):
        return None
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if value := environ.get(variable):
                return variable, value
    return None


def _is_named(host: str, no_proxy: str) -> bool:
    """Tell whether NO_PROXY names a host: itself, a domain that it is in, or `*`; ports behind names do not count."""
    names = no_proxy.replace(",", " ").lower().split()
    bare = [name.partition(":")[0].lstrip("*.") for name in names]
    return "*" in names or any(name and (host == name or host.endswith(f".{name}")) for name in bare)


def own_host(base_url: str, own: str) -> tuple[str, str] | None:
    """Return host and scheme of a base URL that is the platform's own, None where it leads elsewhere."""
    try:
        mine, theirs = urlsplit(base_url), urlsplit(own)
    except ValueError:
        return None
    return (mine.hostname, mine.scheme) if mine.hostname and mine.hostname == theirs.hostname else None


def parse_proxy(value: object) -> object:
    """Return the URL of a proxy. Raises ValueError, which never repeats it."""
    if not isinstance(value, str) or value == NONE:
        return value
    try:
        url = URL(value if "://" in value else f"http://{value}")
        is_good = url.scheme in SCHEMES and bool(url.host) and url.port is not None
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(f"expected the http:// or https:// URL of a proxy, or {NONE}")
    return str(url)


def shown(proxy: str) -> str:
    """Return a proxy's URL as it may be shown: without user and password."""
    url = URL(proxy)
    return f"{url.scheme}://{url.host}:{url.port}"
