"""Threads of ours: one that ends by an error is told to somebody, who goes on without it or ends the process."""

import threading
from collections.abc import Callable

OnFailure = Callable[[BaseException], object]


def watched_thread(name: str, work: Callable[[], object], on_failure: OnFailure) -> threading.Thread:
    """Return a thread that does some work, not started yet; what the work raises is handed to `on_failure` on it.

    What that raises, too, ends the process where the command line runs, as does any thread of a library.
    """

    def run() -> None:
        try:
            work()
        except BaseException as error:
            on_failure(error)

    return threading.Thread(target=run, name=name, daemon=True)
