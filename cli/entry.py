"""Where the `audience` command begins: nothing is imported before Ctrl-C is seen to."""

import os
import signal


def main() -> None:
    """Run the command line. Until it has begun, Ctrl-C ends the process at once, as nothing runs yet."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from cli.main import main as run  # noqa: PLC0415 -- takes most of a second

    run()


if __name__ == "__main__":
    main()
