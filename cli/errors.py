"""What ends a command: most by a sentence that a person can act on."""


class CommandError(Exception):
    """A command can't be run, or did not do all that it should; the message says why, and what to do."""


class UsageError(CommandError):
    """Options that do not go together."""


class EndedError(Exception):
    """The command has said why it ends; `code` is what its process exits with."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
