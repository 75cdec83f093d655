"""Ports of this machine."""

import errno
import socket

NEAR = 100
"""Ports behind a preferred one that are tried before any other: clients are given none of them by the system."""


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen there now; an address that can't be had at all is not free."""
    try:
        _try_out(host, port)
    except (OSError, UnicodeError):  # of a host's name that no name can be
        return False
    return True


def unusable(host: str, port: int) -> str | None:
    """Return why a server can't listen at an address, None where it can or where another one does."""
    try:
        _try_out(host, port)
    except UnicodeError:
        return "no name of a host"
    except OSError as error:
        return None if error.errno == errno.EADDRINUSE else (error.strerror or "it can't be used")
    return None


def _try_out(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def pick_port(host: str, preferred: int) -> int:
    """Return the preferred port if it is free, else the next one that is, else any."""
    return next((port for port in near_ports(preferred) if is_free(host, port)), None) or free_port(host)


def near_ports(preferred: int) -> range:
    """Return the ports that are tried before any other."""
    return range(preferred, min(preferred + NEAR, 65_536))
