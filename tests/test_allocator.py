"""Freed buffers go back to the system rather than into pools that keep them."""

import os
import platform
import subprocess
import sys

import pytest

from streams.processes.allocator import LARGE, POOLS

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed this way")

SCRIPT = f"""
import ctypes
import sys
import tempfile
import threading

from cli import main  # whose threads, if there are any, begin with its import
from streams.processes.allocator import return_freed_memory

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd a b uordblks c d".split()]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
libc.fopen.restype = ctypes.c_void_p
if sys.argv[1] == "set":
    return_freed_memory()
bytes({LARGE} * 4)  # freed at once, upon which the allocator keeps such buffers in its pools
held = [bytes({LARGE} * 4) for _ in range(8)]
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
    pools = open(file.name).read().count("<heap nr")
print(libc.mallinfo2().hblkhd // sum(map(len, held)), pools)
begun.wait()
"""


def pools_and_pages(mode: str, **environ: str) -> tuple[bool, int]:
    """Return whether large buffers have pages of their own, and how many pools there are."""
    command = [sys.executable, "-c", SCRIPT, mode]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(command, env={**kept, **environ}, capture_output=True, text=True, timeout=60, check=True)
    pages, pools = done.stdout.split()
    return pages != "0", int(pools)


def test_large_buffers_have_pages_of_their_own_and_threads_share_few_pools() -> None:
    assert pools_and_pages("set") == (True, POOLS)


def test_by_itself_the_allocator_keeps_large_buffers_and_has_more_pools() -> None:
    has_pages, pools = pools_and_pages("as it is")
    assert not has_pages
    assert pools > POOLS


def test_what_variables_say_of_the_allocator_stands() -> None:
    assert pools_and_pages("set", MALLOC_ARENA_MAX="5") == (True, 5)
