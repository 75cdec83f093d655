"""Full names in one column, split where somebody asks for it."""

from audience_client.columns.folding import name_set

_PARTICLES = name_set(
    "af al auf av bin bint da dal das de degli dei del della den der des di do dos du el ibn la las le los ten ter und "
    "van vom von zu zum zur"
)


def split_name(name: str) -> tuple[str, str]:
    """Return first and last name, cut at a comma, before a particle such as `van`, else before the last word."""
    before, comma, after = name.partition(",")
    if comma:
        return after.strip(), before.strip()
    parts = name.split()
    at = next((place for place, word in enumerate(parts[1:-1], 1) if word.lower() in _PARTICLES), len(parts) - 1)
    return (" ".join(parts[:at]), " ".join(parts[at:])) if len(parts) > 1 else (name.strip(), "")
