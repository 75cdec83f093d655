"""Two accounts that are one account of a platform are refused before anything is sent."""

from pathlib import Path

import pytest
from test_cli import audience

from cli.settings.config import ConfigError
from cli.settings.distinct_accounts import check_distinct
from cli.settings.environment import Environment

BOTH = {
    "AUDIENCE_PROVIDERS": "facebook,facebook/eu,tiktok",
    "FACEBOOK_ACCESS_TOKEN": "made-up-1",
    "FACEBOOK_AD_ACCOUNT_ID": "act_4711",
    "FACEBOOK_EU_ACCESS_TOKEN": "made-up-2",
    "FACEBOOK_EU_AD_ACCOUNT_ID": "4711",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
}


@pytest.mark.parametrize(
    "command", [("serve",), ("up",), ("consume", "--provider", "facebook/eu"), ("replay", "--since", "1d")]
)
async def test_two_accounts_with_one_platform_account_id_are_refused_by_name_and_without_the_id(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    code, _, errors = await audience(tmp_path, *command, **BOTH)
    assert code == 1
    assert "AUDIENCE_PROVIDERS: facebook, facebook/eu are one account of the platform" in errors
    assert "4711" not in errors


async def test_the_account_that_a_consumer_serves_counts_though_it_is_not_among_the_configured_ones(
    tmp_path: Path,
) -> None:
    settings = {**BOTH, "AUDIENCE_PROVIDERS": "facebook"}
    code, _, errors = await audience(tmp_path, "consume", "--provider", "facebook/eu", **settings)
    assert (code, "are one account" in errors) == (1, True)


@pytest.mark.parametrize(
    "changed", [{"FACEBOOK_EU_AD_ACCOUNT_ID": "4712"}, {"FACEBOOK_EU_BASE_URL": "http://127.0.0.1:1/other"}]
)
def test_accounts_with_other_ids_or_at_another_platform_are_let_through(changed: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="are one account"):
        check_distinct(Environment(BOTH, {}))
    check_distinct(Environment({**BOTH, **changed}, {}))
