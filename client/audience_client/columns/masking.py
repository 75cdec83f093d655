"""Values as they may be shown: enough to see that a column is the right one, too little to know who it is."""

MOST = 24
"""Characters that are shown of a value."""


def mask(value: str) -> str:
    """Return a value with its letters and digits starred but for the first of each part, as `a**@e******.c**`."""
    shown, is_within = [], False
    for letter in value.strip():
        shown.append("*" if is_within and letter.isalnum() else letter if letter.isprintable() else "�")
        is_within = letter.isalnum()
    text = "".join(shown)
    return f"{text[:MOST]}…" if len(text) > MOST else text
