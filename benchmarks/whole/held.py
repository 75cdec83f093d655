"""Run a module and note how long each callback holds its event loop: `python held.py FILE MODULE ARGUMENT ...`.

A line of FILE is a callback that held it for a millisecond or more: when it ended by the system's clock, seconds by the
clock, seconds of this thread's processor time, seconds of garbage collections meanwhile, and from where to where it
went. It runs in any tree, so it imports none of ours.
"""

import asyncio
import gc
import runpy
import sys
import time
from pathlib import Path
from typing import Any

LEAST = 0.001


def watch(file: Path) -> None:
    """Note long callbacks from now on."""
    run = asyncio.Handle._run  # what each turn of a loop calls
    lines = file.open("a", encoding="utf-8", buffering=1)

    collected = _collections()

    def timed(handle: Any) -> None:
        what, before = _place(handle), collected[0]
        began, used = time.perf_counter(), time.thread_time()
        run(handle)
        held = time.perf_counter() - began
        if held >= LEAST:
            used = time.thread_time() - used
            print(time.time(), held, used, collected[0] - before, f"{what} to {_place(handle)}", file=lines)

    setattr(asyncio.Handle, "_run", timed)  # noqa: B010 -- a method is not meant to be put in place


def _collections() -> list[float]:
    """Return seconds of garbage collections, of whatever thread, which grow from now on."""
    seconds, began = [0.0], [0.0]

    def note(phase: str, _: object) -> None:
        if phase == "start":
            began[0] = time.perf_counter()
        else:
            seconds[0] += time.perf_counter() - began[0]

    gc.callbacks.append(note)
    return seconds


def _place(handle: Any) -> str:
    """Return where a callback is: the innermost coroutine of a task that is none of asyncio's, else the function."""
    task = getattr(handle._callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return str(getattr(handle._callback, "__qualname__", "callback"))
    found: str = "a task"
    awaited: Any = task.get_coro()
    while awaited is not None:
        code = getattr(awaited, "cr_code", None)
        if code is not None and "asyncio" not in Path(code.co_filename).parts:
            found = code.co_qualname
        awaited = getattr(awaited, "cr_await", None)
    return found


if __name__ == "__main__":
    watch(Path(sys.argv[1]))
    sys.argv = sys.argv[2:]
    sys.path[0] = str(Path.cwd())
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
