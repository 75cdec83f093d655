"""The examples of the status resources in docs/status.md are what the types say."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from ledger.resources import AccountPage, BatchPage, BatchStatus, RejectedPage, SessionPage, SessionStatus

PAGE = (Path(__file__).parent.parent / "docs" / "status.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("text", "kind"),
    list(zip(EXAMPLES, (BatchStatus, RejectedPage, SessionStatus, SessionPage, BatchPage, AccountPage), strict=True)),
)
def test_an_example_of_the_page_is_the_resource_to_the_letter(text: str, kind: type[msgspec.Struct]) -> None:
    decoded = msgspec.json.decode(text, type=kind)
    assert json.loads(msgspec.json.encode(decoded)) == json.loads(text)
