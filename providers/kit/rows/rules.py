"""The rules that turn a value as it was uploaded into the one that a platform wants: a closed set of steps."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from providers.kit.phones.numbering_plans import is_valid_phone
from providers.kit.rows import normalisers as normalise
from providers.kit.settings import AccountSettings
from schemas.repairs.ordinary_values import LONGEST_ID

Step = Callable[[str, str | None], str | None]
"""Turns a text into the next one, given the user's country as an alpha-2 code; None or empty: nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """A setting of the account that switches something of a declaration on."""

    setting: str
    value: object = None
    """The one value that switches it on; None: any, as long as it is set."""

    def holds(self, settings: AccountSettings) -> bool:
        """Tell whether it is switched on."""
        value = getattr(settings, self.setting)
        return value is not None if self.value is None else bool(value == self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A step, with what pages and previews call it and what is wrong with a value of which it leaves nothing.

    `fault` is a word of the vocabulary with the scope `row`; None for a step that leaves
    nothing of blank values only. No step may let a blank value through.
    """

    says: str
    fault: str | None = None
    make: Callable[[AccountSettings], Step] = field(repr=False)
    by_country: bool = True
    """Whether what it makes of a text may depend on the user's country; if not, it is remembered for all users."""

    when: When | None = None
    change: Callable[[str], str | None] | None = field(default=None, repr=False)
    """The step as a function of the text alone, where neither the account nor the country matters."""

    drops: bytes = field(default=b"", repr=False)
    """The sign that it takes from a number in E.164, where it does nothing else."""

    keeps: frozenset[str] = field(default=frozenset(), repr=False)
    """Fields of whose ordinary values it changes at most the case and the blanks around them."""

    settles: frozenset[str] = field(default=frozenset(), repr=False)
    """Fields whose ordinary values are in canonical form after it (`user_columns`).

    That is an address trimmed and in lower case, an id as it is, a number in E.164.
    """

    described_make: Callable[[AccountSettings], Step] | None = field(default=None, repr=False)
    """The `make` that `change`, `drops`, `keeps` and `settles` describe; beside another `make` they are reset."""

    def __post_init__(self) -> None:
        """Reset what describes another `make`, as in a copy of one of our rules with a step of its own."""
        if self.make is not self.described_make:
            for name, nothing in (("change", None), ("drops", b""), ("keeps", frozenset()), ("settles", frozenset())):
                object.__setattr__(self, name, nothing)

    def only(self, setting: str, value: object = None) -> "Rule":
        """Return the same rule for accounts of which a setting is set, or has this value."""
        return replace(self, when=When(setting=setting, value=value))


def _of_text(
    says: str,
    change: Callable[[str], str | None],
    fault: str | None = None,
    *,
    keeps: Collection[str] = (),
    settles: Collection[str] = (),
) -> Rule:
    """Return a rule whose step looks at nothing but the text."""

    def step(text: str, country: str | None) -> str | None:
        del country
        return change(text)

    def make(settings: AccountSettings) -> Step:
        del settings
        return step

    return Rule(
        says=says,
        fault=fault,
        make=make,
        by_country=False,
        change=change,
        keeps=frozenset({*keeps, *settles}),
        settles=frozenset(settles),
        described_make=make,
    )


def _phone_step(settings: AccountSettings) -> Step:
    region = settings.default_region
    return lambda text, country: normalise.phone(text, country, region)


TRIM = _of_text("trimmed", str.strip, keeps=("email",), settles=("phone", "edgeTagId"))
LOWER = _of_text(
    "lower case", lambda text: None if text.isspace() else text.lower(), keeps=("email",), settles=("phone",)
)
UPPER = _of_text("capitals", lambda text: None if text.isspace() else text.upper())
NO_SPACES = _of_text(
    "without spaces", lambda text: "".join(text.split()), keeps=("email",), settles=("phone", "edgeTagId")
)
EMAIL = _of_text("trimmed, lower case", normalise.email, "not_an_email", settles=("email",))
NO_ALIASES = _of_text("without dots and `+suffix` before the @", normalise.without_aliases)
GMAIL = _of_text("of Gmail addresses without dots and `+suffix`", normalise.gmail)
PHONE = Rule(
    says="E.164, of its own country, the user's or `AUDIENCE_DEFAULT_REGION`",
    fault="not_a_phone",
    make=_phone_step,
    keeps=frozenset({"phone"}),
    settles=frozenset({"phone"}),
    described_make=_phone_step,
)
VALID_PHONE = _of_text(
    "only numbers that a numbering plan has", lambda text: text if is_valid_phone(text) else None, "not_a_phone"
)
NO_PLUS = replace(_of_text("without `+`", lambda text: text.removeprefix("+")), drops=b"+")
NAME = _of_text("lower case, without punctuation", normalise.name, "no_letters")
COUNTRY = _of_text("ISO 3166-1 alpha-2 in lower case, of codes and names", normalise.country, "not_a_country")
POSTAL_CODE = Rule(
    says="lower case, without spaces and hyphens, of American ones the first five digits",
    fault="no_letters",
    make=lambda _: normalise.postal_code,
)


def at_most(characters: int) -> Rule:
    """Return a rule that lets texts of so many characters through, and no longer ones."""
    return _of_text(
        f"up to {characters} characters",
        lambda text: text if 0 < len(text) <= characters and not text.isspace() else None,
        "too_long",
        settles=("edgeTagId",) if characters >= LONGEST_ID else (),
    )
