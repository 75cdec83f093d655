"""How soon freed memory goes back to the system, where glibc allocates it."""

import ctypes
import os
import sys
from collections.abc import Mapping

LARGE = 256 * 1024
"""Bytes of a buffer that has pages of its own, which the system gets back when it is freed."""

POOLS = 2
"""Pools of smaller blocks, among which all threads choose."""

_PARAMETERS: Mapping[str, tuple[int, int]] = {
    "MALLOC_MMAP_THRESHOLD_": (-3, LARGE),
    "MALLOC_ARENA_MAX": (-8, POOLS),
}
"""glibc's numbers of its parameters, see mallopt(3), by the variables that set them for a process."""


def return_freed_memory() -> None:
    """Let freed buffers go back to the system; to be called before there are threads. What variables say stands.

    By itself glibc has a pool for each of a dozen threads of Kafka's clients, and once a large buffer was freed the
    next ones of that size come from the pools, too, and stay there: a megabyte here, a record of a kilobyte behind
    it. By records of all sizes a process that used 34 MB held ten times as much, and more with each hour.
    """
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if set_parameter is not None:
        for variable, (parameter, value) in _PARAMETERS.items():
            if variable not in os.environ:
                set_parameter(parameter, value)
