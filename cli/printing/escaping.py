"""What of a text may reach a terminal: control characters are replaced."""


def printable(text: str) -> str:
    """Return a text without what would steer a terminal: anybody may write records, and names as they like."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
