"""Made-up credentials that the sandbox takes; any other account id is an account of its own."""

from collections.abc import Mapping

CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "facebook": {"FACEBOOK_ACCESS_TOKEN": "sandbox-facebook-token", "FACEBOOK_AD_ACCOUNT_ID": "1001"},
    "tiktok": {"TIKTOK_ACCESS_TOKEN": "sandbox-tiktok-token", "TIKTOK_ADVERTISER_ID": "6900000000000000001"},
    "klaviyo": {"KLAVIYO_API_KEY": "pk_sandbox_klaviyo"},
}
