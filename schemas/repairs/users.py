"""The repair of one user's values, before any platform's rule and the same for all platforms."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from schemas.records import AudienceUser
from schemas.repairs import emails, phones, postal_codes
from schemas.repairs.cells import Cell, emptiness, is_other_hash, unwrapped, without_exponent, without_invisible

_is_id = re.compile(
    r"(?!(?:null|none|nan|nil|undefined|[0-]{36})$)[a-z0-9_.:-]{1,63}", re.IGNORECASE | re.ASCII
).fullmatch
_is_name = re.compile(r"(?!undefined$|[0-9a-f]{32})[\w '\u2019.-]{1,63}", re.IGNORECASE).fullmatch
_is_country = re.compile(r"(?!(?:null|none|nan|nil|undefined)$)[a-z ]{2,60}", re.IGNORECASE | re.ASCII).fullmatch

_is_currency = re.compile(r"(?!(?:nan|nil)$)[a-z]{3}", re.IGNORECASE).fullmatch

_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?E\+\d{2,3}|\d[.,]\d+[eE]\+?\d{2,3}")
"""How spreadsheets and programs, and hardly anybody else, write a long number."""

_JOINERS = "\u200c\u200d"
"""Marks that no eye sees but that some scripts need within a word."""

_NAMES = frozenset({"null", "none", "nan", "nil"})
"""Placeholders that are names of people, too."""


class Repaired(NamedTuple):
    """A user for platforms' rules to take; its repairs as `field: kind`, its dropped values as field and word."""

    user: AudienceUser
    repaired: tuple[str, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()


def repair(user: AudienceUser) -> Repaired:
    """Return a user with each damaged value repaired where that is certain, and left out where it is not.

    Pure; what it returns needs no further repair. Most users are returned as they are.
    """
    if _is_ordinary(user):
        return Repaired(user)
    changes: dict[str, object] = {}
    repaired: list[str] = []
    dropped: list[tuple[str, str]] = []
    for field, name, given, cell in _unusual(user):
        if cell.text != given:
            changes[name] = cell.text if cell.text and cell.text.strip() else None
        if cell.fault:
            dropped.append((field, cell.fault))
        elif cell.text:
            repaired += [f"{field}: {kind}" for kind in cell.repairs]
    if user.purchase is not None and (fault := fault_of_currency(user.purchase.currency)):
        changes["purchase"] = msgspec.structs.replace(user.purchase, currency=None)
        dropped.append(("purchase.currency", fault))
    return Repaired(msgspec.structs.replace(user, **changes), tuple(repaired), tuple(dropped))


def _is_ordinary(user: AudienceUser) -> bool:
    """Tell whether no value needs a second look."""
    return (
        (user.email is None or emails.is_ordinary(user.email))
        and (user.phone is None or phones.is_ordinary(user.phone))
        and (user.edge_tag_id is None or _is_id(user.edge_tag_id) is not None)
        and (user.first_name is None or _is_name(user.first_name) is not None)
        and (user.last_name is None or _is_name(user.last_name) is not None)
        and (user.country is None or _is_country(user.country) is not None)
        and (user.postal_code is None or postal_codes.is_ordinary(user.postal_code, user.country))
        and (user.purchase is None or fault_of_currency(user.purchase.currency) is None)
    )


def _unusual(user: AudienceUser) -> Iterator[tuple[str, str, str, Cell]]:
    """Yield each value that needs a second look: its field as uploaded, our attribute, the text, what it becomes."""
    if (text := user.email) and not emails.is_ordinary(text):
        yield "email", "email", text, emails.repaired_email(text)
    if (text := user.phone) and not phones.is_ordinary(text):
        yield "phone", "phone", text, phones.repaired_phone(text)
    if (text := user.edge_tag_id) and not _is_id(text):
        yield "edgeTagId", "edge_tag_id", text, _repaired_id(text)
    if (text := user.first_name) and not _is_name(text):
        yield "firstName", "first_name", text, _repaired_name(text)
    if (text := user.last_name) and not _is_name(text):
        yield "lastName", "last_name", text, _repaired_name(text)
    if (text := user.country) and not _is_country(text):
        yield "country", "country", text, _repaired_country(text)
    if (text := user.postal_code) and not postal_codes.is_ordinary(text, user.country):
        yield "postalCode", "postal_code", text, postal_codes.repaired_postal_code(text, user.country)


def uncounted_repair(field: str, text: str, country: str | None) -> str | None:
    """Return a text as `repair` leaves it, None where that would be counted as a repair or as dropped.

    Empty where nothing but blanks is left. `country` is the user's, as uploaded.
    """
    is_ordinary, repaired = _TEXTS[field]
    if not text or is_ordinary(text, country):
        return text
    cell = repaired(text, country)
    if cell.fault or (cell.text and cell.repairs):
        return None
    return text if cell.text == text else cell.text if cell.text and cell.text.strip() else ""


@lru_cache(maxsize=4096)
def _repaired_id(text: str) -> Cell:
    """Repair an id, which may be any text: only what exports put around it goes. Placeholders are dropped."""
    if fault := emptiness(text):
        return Cell(None, (), fault)
    cell = unwrapped(without_invisible(Cell(text)))
    if fault := emptiness(cell.text or ""):
        return cell.dropped(fault)
    return without_exponent(cell) if _SCIENTIFIC.fullmatch(cell.text or "") else cell


@lru_cache(maxsize=4096)
def _repaired_name(text: str) -> Cell:
    cell = without_invisible(Cell(text), keep=_JOINERS)
    seen = (cell.text or "").strip()
    if seen[:1] in ('"', "="):
        cell = unwrapped(cell)
    seen = cell.text or ""
    fault = emptiness(seen) or ("other_hash" if is_other_hash(seen) else None)
    is_name = fault == "placeholder" and seen.strip().lower() in _NAMES
    return cell.dropped(fault) if fault and not is_name else cell


@lru_cache(maxsize=4096)
def _repaired_country(text: str) -> Cell:
    cell = unwrapped(without_invisible(Cell(text)))
    fault = emptiness(cell.text or "") or ("other_hash" if is_other_hash(cell.text or "") else None)
    return cell.dropped(fault) if fault else cell


def fault_of_currency(currency: str | None) -> str | None:
    """Return why a purchase's currency is dropped, None where it stays."""
    return None if currency is None or _is_currency(currency) else emptiness(currency)


_TEXTS: Mapping[str, tuple[Callable[[str, str | None], object], Callable[[str, str | None], Cell]]] = {
    "email": (lambda text, _: emails.is_ordinary(text), lambda text, _: emails.repaired_email(text)),
    "phone": (lambda text, _: phones.is_ordinary(text), lambda text, _: phones.repaired_phone(text)),
    "edgeTagId": (lambda text, _: _is_id(text), lambda text, _: _repaired_id(text)),
    "firstName": (lambda text, _: _is_name(text), lambda text, _: _repaired_name(text)),
    "lastName": (lambda text, _: _is_name(text), lambda text, _: _repaired_name(text)),
    "country": (lambda text, _: _is_country(text), lambda text, _: _repaired_country(text)),
    "postalCode": (postal_codes.is_ordinary, postal_codes.repaired_postal_code),
}
"""By field what tells whether a text needs no second look, and what it becomes where it does."""
