"""Threads share few pools of memory rather than each keeping what was freed in its own."""

import os
import platform
import subprocess
import sys

import pytest

from streams.processes.allocator import POOLS, VARIABLE

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has pools of this kind")

SCRIPT = """
import ctypes
import sys
import tempfile
import threading

from cli import main  # whose threads, if there are any, begin with its import
from streams.processes.allocator import share_pools

libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
if sys.argv[1] == "shared":
    share_pools()
begun = threading.Barrier(9)

def hold() -> None:
    own = [bytes(1000) for _ in range(100)]
    begun.wait()
    begun.wait()

threads = [threading.Thread(target=hold, daemon=True) for _ in range(8)]
for thread in threads:
    thread.start()
begun.wait()
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(open(file.name).read().count("<heap nr"))
begun.wait()
"""


def pools(mode: str, **environ: str) -> int:
    """Return how many pools a process with eight threads has."""
    command = [sys.executable, "-c", SCRIPT, mode]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(command, env={**kept, **environ}, capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


def test_threads_share_few_pools_of_memory() -> None:
    assert pools("shared") == POOLS


def test_by_itself_the_allocator_has_more_pools() -> None:
    assert pools("as it is") > POOLS


def test_what_the_variable_says_of_pools_stands() -> None:
    assert pools("shared", **{VARIABLE: "5"}) == 5
