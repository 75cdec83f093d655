"""Settings of the server that are checked when it starts."""

import pytest
from pydantic import ValidationError

from producer.settings import ServerSettings


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://lists.example.com", "https://lists.example.com"),
        ("https://lists.example.com:8443/api/", "https://lists.example.com:8443/api"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_public_url_is_taken_without_the_last_slash(url: str, kept: str) -> None:
    assert ServerSettings.model_validate({"AUDIENCE_PUBLIC_URL": url}).public_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "lists.example.com",
        "ftp://lists.example.com",
        "https://",
        "https://made-up:secret@lists.example.com",
        "https://lists.example.com?a=b",
        "https://lists.example.com/#a",
        "https://lists.example.com/\r\nX-Made-Up: 1",
        "https://[",
    ],
)
def test_a_public_url_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as error:
        ServerSettings.model_validate({"AUDIENCE_PUBLIC_URL": url})
    assert error.value.errors()[0]["msg"].startswith("Value error, expected http:// or https://, a host")


def test_a_sync_upload_is_answered_before_proxies_give_up() -> None:
    """60 seconds are their usual patience, and the server's answer takes its time too."""
    settings = ServerSettings()
    assert (settings.sync_timeout, settings.keepalive) == (50, 75)
