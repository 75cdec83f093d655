"""The page of platforms says of each whether people can be taken out of its audiences, and how."""

from typing import Any

import pytest
from test_removal_rows import BY_CALL, REMOVES
from test_row_declarations import ADDRESS, NUMBER, kind_of, one_row

from cli.pages.platforms_page import platforms_page
from providers.installed import installed
from providers.kit.call_limits import Limits
from providers.kit.provider import Removal


def page(kind: Any) -> str:
    """Return the page of one platform, without its head."""
    text = platforms_page({"acme": kind})
    return text[text.index("## acme") :]


@pytest.mark.parametrize(
    ("name", "call", "identifiers"),
    [
        ("facebook", "`DELETE /<audience id>/users`", "`EXTERN_ID`, or `EMAIL`, or `PHONE`"),
        (
            "klaviyo",
            "`DELETE /api/lists/<list id>/relationships/profiles`",
            "`email`, or `phone_number`, or `external_id`",
        ),
        ("tiktok", "`POST /segment/mapping/` with `action: delete`", "`EMAIL_SHA256`, or `PHONE_SHA256`"),
        ("webhook", "`type: audience.users.removed`", "`edgeTagId`, or `email`, or `phone`"),
    ],
)
def test_the_page_says_by_which_call_people_leave_and_by_what_they_are_named(
    name: str, call: str, identifiers: str
) -> None:
    text = platforms_page({name: installed()[name]})
    assert call in text
    assert f"A removal names them by {identifiers}; it has nothing else of them." in text


def test_a_platform_that_cannot_remove_is_said_to() -> None:
    assert "People can't be taken out of its audiences: `cannot_remove`." in page(kind_of(one_row(ADDRESS)))


def test_what_differs_from_an_addition_is_told() -> None:
    own = Removal(
        says="a call",
        source="https://example.com",
        template=one_row(NUMBER),
        limits=Limits(rows=1234, body=5678),
        keeps=1000,
    )
    text = page(kind_of(one_row(ADDRESS), **{**REMOVES, "removal": own}))
    assert "A call of a removal holds 1,234 users and 5,678 bytes of them at most." in text
    assert "An audience must keep 1,000 members." in text
    assert text.count("| `phone` | `p` |") == 1


def test_rows_by_hand_are_said_to_be() -> None:
    by_hand = {**REMOVES, "removal": BY_CALL, "removal_row": lambda self, user: user.email}
    assert "The rows of a removal are made by code." in page(kind_of(one_row(ADDRESS), **by_hand))
