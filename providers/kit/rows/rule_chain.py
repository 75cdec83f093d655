"""A column's rules applied to a text: all at once for rows, one by one to find the rule at fault and to explain."""

import base64
from collections.abc import Callable, Iterator
from functools import reduce

from providers.kit.rows.columns import Column, Form
from providers.kit.rows.normalisers import HASH_LENGTH, as_hash, sha256_hex
from providers.kit.rows.row_json import EMPTY
from providers.kit.rows.rules import Rule, Step
from providers.kit.settings import AccountSettings

Walk = Callable[[str, str | None], Iterator[tuple[Rule, str | None]]]
"""Yields each rule that a text, of a user of a country, gets to, and what it leaves of it."""

Finish = Callable[[str, str | None], str]
"""Turns a text, of a user of a country, into what goes out; an empty text where the rules leave nothing."""


def switched_on(column: Column, settings: AccountSettings) -> list[Rule]:
    """Return a column's rules that hold for an account, in order."""
    return [rule for rule in column.rules if rule.when is None or rule.when.holds(settings)]


def chain(column: Column, settings: AccountSettings) -> Step:
    """Return a column's rules as one step; where there are none, it only loses what is blank."""
    steps = [rule.make(settings) for rule in switched_on(column, settings)]
    return reduce(_both, steps) if steps else _unless_blank


def _both(first: Step, second: Step) -> Step:
    def both(text: str, country: str | None) -> str | None:
        left = first(text, country)
        return second(left, country) if left else None

    return both


def _unless_blank(text: str, country: str | None) -> str | None:
    del country
    return None if text.isspace() else text


def walk(column: Column, settings: AccountSettings) -> Walk:
    """Return the same as `chain`, but rule by rule, for those who need what each of them leaves."""
    steps = [(rule, rule.make(settings)) for rule in switched_on(column, settings)]

    def walked(text: str, country: str | None) -> Iterator[tuple[Rule, str | None]]:
        left: str | None = text
        for rule, step in steps:
            if not left:
                return
            left = step(left, country)
            yield rule, left

    return walked


def fault_of(column: Column, settings: AccountSettings) -> Callable[[str, str | None], str | None]:
    """Return the function that says what is wrong with a text of which a column leaves nothing; None of any other."""
    rules, walked = switched_on(column, settings), walk(column, settings)

    def fault(text: str, country: str | None) -> str | None:
        if hash_in(column, text):
            return "hashed" if column.hashed == "refused" else None
        passed = sum(1 for _, left in walked(text, country) if left)
        return next((rule.fault for rule in rules[passed:] if rule.fault), None)

    return fault


def finisher(column: Column, settings: AccountSettings) -> Finish:
    """Return the function from a text to what a column holds of it, which may be empty."""
    step, finished, hashed = chain(column, settings), _finished(column.form), column.hashed

    def finish(text: str, country: str | None) -> str:
        if len(text) >= HASH_LENGTH and hashed != "text" and (given := as_hash(text)):
            return EMPTY if hashed == "refused" else form_of_hash(given, column.form)
        left = step(text, country)
        return finished(left) if left else EMPTY

    return finish


def _finished(form: Form) -> Callable[[str], str]:
    if form == "sha256":
        return sha256_hex
    return str if form == "plain" else lambda text: form_of_hash(sha256_hex(text), form)


def hash_in(column: Column, text: str) -> str | None:
    """Return a text that is to a column a SHA-256 already, as 64 hexadecimal digits; None for any other."""
    return None if column.hashed == "text" else as_hash(text)


def form_of_hash(digest: str, form: Form) -> str:
    """Return a SHA-256 of 64 hexadecimal digits as a column wants it."""
    return base64.b64encode(bytes.fromhex(digest)).decode() if form == "sha256_base64" else digest
