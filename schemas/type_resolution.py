"""Types of records are resolved before there are threads."""

import msgspec


def resolve_types(*kinds: type[msgspec.Struct]) -> None:
    """Have msgspec resolve what these types consist of now, as it does once, on first use.

    That is not safe beside another thread (0.22.0: a ledger ended by a signal once). So whoever defines types that
    several threads use calls this where they are defined.
    """
    for kind in kinds:
        msgspec.json.Decoder(kind)
