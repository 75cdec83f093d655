"""What authors and publishers imported before there was one package to import from."""

import importlib
import re
import subprocess
import sys

import pytest

import audience
from audience import provider

FORMER = {
    "providers.base": ["PREFIX", "REAL", "AnyProvider", "Limits", "NamedRowsError", "Provider", "Sent", "Surroundings"],
    "providers.bodies": ["AUDIENCE_ID", "CELL", "NAMES", "ROWS", "Body", "Known", "of_one_kind"],
    "providers.columns": ["Cells", "Column", "DeclarationError", "Form", "Hashed", "Part", "RowTemplate", "members"],
    "providers.errors": [
        "AudienceGoneError",
        "PlatformError",
        "RejectError",
        "RetryError",
        "StopError",
        "ThrottleError",
        "TooMuchError",
        "platform_error",
    ],
    "providers.http": ["Answer", "Request", "Transport"],
    "providers.pace": ["Pause", "Rate"],
    "providers.rules": ["COUNTRY", "EMAIL", "GMAIL", "NAME", "PHONE", "POSTAL_CODE", "TRIM", "Rule", "Step", "When"],
    "providers.settings": ["CREDENTIAL", "AccountSettings"],
}
NORMALISERS = ["as_hash", "country", "email", "gmail", "name", "phone", "postal_code", "sha256_hex", "without_aliases"]


@pytest.mark.parametrize("former", FORMER)
def test_what_an_author_imported_by_its_former_name_is_what_is_imported_today(former: str) -> None:
    sys.modules.pop(former, None)
    with pytest.warns(DeprecationWarning, match=f"{former} is audience.provider now"):
        module = importlib.import_module(former)
    assert {name: getattr(module, name) for name in FORMER[former]} == {
        name: getattr(provider, name) for name in FORMER[former]
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_normalisers_that_an_author_called_are_those_of_today() -> None:
    module = importlib.import_module("providers.normalise")
    assert all(getattr(module, name) is getattr(provider.normalise, name) for name in NORMALISERS)


def test_a_module_of_an_author_that_imports_in_every_way_runs_and_is_told_where_the_names_are() -> None:
    code = (
        "import providers.base\nfrom providers import errors, normalise\n"
        "from providers.settings import AccountSettings\n"
        "from audience.provider import Provider\n"
        "assert providers.base.Provider is Provider and errors.RetryError and normalise.email(' A@example.com')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    told = re.findall(r"<string>:(\d): DeprecationWarning: providers\.(\w+) is", ran.stderr)
    assert told == [("1", "base"), ("2", "errors"), ("2", "normalise"), ("3", "settings")]


def test_a_name_that_never_was_is_still_missing() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"providers\.bases"):
        importlib.import_module("providers.bases")
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        importlib.import_module("producer").Nothing  # noqa: B018 -- to look it up is what fails


@pytest.mark.parametrize(
    "name",
    [
        "AudiencePublisher",
        "InvalidBatchError",
        "NotConfirmedError",
        "NothingWrittenError",
        "PublishError",
        "Published",
        "RefusedByKafkaError",
    ],
)
def test_what_publishers_imported_from_producer_is_what_audience_has_today(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=rf"producer\.{name} is audience\.{name} now"):
        former = getattr(importlib.import_module("producer"), name)
    assert former is getattr(audience, name)
