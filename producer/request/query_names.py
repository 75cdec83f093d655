"""What is wrong with the names in the query of a GET: what is passed over would answer more than is meant."""

from collections.abc import Sequence

from aiohttp import web

from producer.answers import refused
from producer.request.client_names import corrected, is_mode_by_chance, meant, shown


def wrong_names(request: web.Request, *known: str) -> list[str]:
    """Return a fault for each query name that comes again, is almost one of these, or is none of them."""
    names = [name for name, _ in request.query.items()]
    by_chance = {name for name, value in request.query.items() if is_mode_by_chance(name, value)}
    repeated = [f"{name}: send it once" for name in known if names.count(name) > 1]
    others = [name for name in dict.fromkeys(names) if name not in known]
    return repeated + [_fault(name, known, is_mode_by_chance=name in by_chance) for name in others]


def _fault(name: str, known: Sequence[str], *, is_mode_by_chance: bool) -> str:
    ours = meant(name, known, with_slips=True)
    if ours is not None and not (ours == "mode" and is_mode_by_chance):
        return corrected(name, ours, "query")
    there_are = f"there are {', '.join(known)}" if known else "there are none"
    return f"{shown(name) or 'query'}: there is no such filter; {there_are}"


def refuse_names(request: web.Request) -> None:
    """Let nothing pass that has a query, where there is nothing to ask for by one. Raises Refused."""
    if faults := wrong_names(request):
        raise refused(400, *faults)
