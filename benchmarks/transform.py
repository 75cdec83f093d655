"""What turning users into a platform's rows costs a core, beside Meta's own SDK."""

import json
import statistics
import time
from collections.abc import Mapping
from functools import partial

from facebook_business.adobjects.customaudience import CustomAudience

from providers.facebook.provider import FIELDS
from providers.installed import installed
from providers.kit.provider import AnyProvider
from providers.kit.rows import normalisers as normalise
from providers.kit.rows.users_to_rows import make_rows
from schemas.records import AudienceUser, Purchase

USERS = 5_000
RUNS = 11
SDK = "Meta's SDK"
NAMES = ("facebook", "tiktok", "klaviyo")


def make_users(*, is_clean: bool) -> list[AudienceUser]:
    """Return made-up users, each different, with phone numbers in E.164 or as people of two countries write them."""
    return [
        AudienceUser(
            edge_tag_id=f"edge-{number}",
            email=f"person{number}@example.com" if is_clean else f" Person.{number}@Example.COM ",
            phone=f"+1415{5550000 + number}" if is_clean else f"(415) 555-{number:04}",
            first_name="Ada" if is_clean else f"Anne-Marié {number}",
            last_name="Lovelace",
            country="US" if is_clean else "United States",
            postal_code="94107" if is_clean else "94107-1234",
            purchase=Purchase(currency="USD", profit=number / 4),
        )
        for number in range(USERS)
    ]


def providers() -> Mapping[str, AnyProvider]:
    """Return the providers with made-up settings; rows call nobody."""
    made = {}
    for name in NAMES:
        kind = installed()[name]
        fields = kind.settings_type.model_fields.items()
        examples = {field: info.examples[0] for field, info in fields if info.is_required() and info.examples}
        made[name] = kind(kind.settings_type.model_validate(examples), None)  # type: ignore[arg-type] # rows call nobody
    return made


def ours(provider: AnyProvider, users: list[AudienceUser]) -> int:
    """Make rows as a consumer does, encoded as JSON."""
    *_, made = make_rows(provider, enumerate(users))
    return sum(map(len, made.rows))


def metas(users: list[AudienceUser]) -> int:
    """Make rows by Meta's SDK, encoded as JSON. It reads no phone numbers, and names no country."""
    rows = [
        [user.edge_tag_id, user.email, user.phone, user.first_name, user.last_name, user.country, user.postal_code]
        for user in users
    ]
    return len(json.dumps(CustomAudience.format_params(list(FIELDS), rows, is_raw=True)))


def measure_transform() -> None:
    """Run all in turn, so that a change of the machine's speed meets each; phone numbers are read anew each time."""
    for kind in ("clean", "untidy"):
        users = make_users(is_clean=kind == "clean")
        ways = {name: partial(ours, provider, users) for name, provider in providers().items()}
        ways[SDK] = partial(metas, users)
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(RUNS):
            for name, way in ways.items():
                normalise.forget_phones()
                began = time.process_time()
                way()
                seconds[name].append(time.process_time() - began)
        rate = {name: USERS / statistics.median(took) for name, took in seconds.items()}
        print(f"transform, {USERS:,} {kind} users, median of {RUNS} runs, users/s per core")  # noqa: T201 -- the output
        for name, of in rate.items():
            print(f"  {name:10} {of:12,.0f}   x{of / rate[SDK]:.2f} of {SDK}")  # noqa: T201 -- the output
