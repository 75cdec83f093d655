"""The closed set of steps between a value as it was uploaded and the same as a platform wants it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from providers.kit.phones.numbering_plans import is_valid_phone
from providers.kit.rows import normalisers as normalise
from providers.kit.settings import AccountSettings
from schemas.repairs.ordinary_values import LONGEST_ID

Step = Callable[[str, str | None], str | None]
"""Turns a text into the next one, given the user's country as an alpha-2 code; nothing where it leaves nothing."""


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
    """A step: how pages and previews call it, and what is wrong with a value that it leaves nothing of.

    `fault` is a word of the vocabulary with the scope `row`; None where the step only loses what is blank, which no
    step must let through.
    """

    says: str
    fault: str | None = None
    make: Callable[[AccountSettings], Step] = field(repr=False)
    by_country: bool = True
    """Whether the user's country may change what it makes of a text, which is then not remembered for others."""

    when: When | None = None
    change: Callable[[str], str | None] | None = field(default=None, repr=False)
    """What it makes of a text, where that is all there is to know."""

    drops: bytes = field(default=b"", repr=False)
    """The sign that is all it takes from a number in E.164, where that is so."""

    keeps: frozenset[str] = field(default=frozenset(), repr=False)
    """Fields of which it changes an ordinary value in its form at most: case and blanks around it."""

    settles: frozenset[str] = field(default=frozenset(), repr=False)
    """Those of which it leaves an ordinary value in its usual form.

    An address is in it trimmed and in lower case, an id and a number in E.164 as they are (`user_columns`).
    """

    told_of: Callable[[AccountSettings], Step] | None = field(default=None, repr=False)
    """The `make` of which the four above are told: of a rule with another one, made of ours, they say nothing."""

    def __post_init__(self) -> None:
        """Forget what is told of another step."""
        if self.make is not self.told_of:
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
    """Return a rule for which a text is all there is to know."""

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
        told_of=make,
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
    told_of=_phone_step,
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
