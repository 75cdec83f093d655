"""The platforms' own client libraries as second witnesses: of our requests, and of the sandbox."""

import asyncio
from typing import Any

import pytest
from facebook_business.adobjects.adaccount import AdAccount
from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession
from openapi_client.models.list_create_query import ListCreateQuery
from openapi_client.models.profile_import_job_create_query import ProfileImportJobCreateQuery
from previews import AWKWARD, previewed
from world import sandbox_running

from providers.facebook.answers import CODES
from sandbox import CREDENTIALS


def without_nulls(value: Any) -> Any:
    """Return what a model holds, without the members that it adds as null."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


async def test_klaviyo_s_own_models_hold_every_member_of_our_requests() -> None:
    """They drop what they do not know without a word: only a round trip that is equal says something."""
    lines, _ = await previewed("klaviyo", AWKWARD, opt_in_process="single_opt_in")
    bodies = {line["url"].rpartition("/")[2]: line["body"] for line in lines if line["method"] == "POST"}
    for path, model in (("lists", ListCreateQuery), ("profile-bulk-import-jobs", ProfileImportJobCreateQuery)):
        read = model.from_dict(bodies[path])
        assert read is not None
        assert without_nulls(read.to_dict()) == bodies[path]


async def test_meta_s_own_client_knows_our_parameters_and_their_values() -> None:
    lines, _ = await previewed("facebook", AWKWARD, value_from="profit", value_currency="USD")
    create, upload = (line["body"] for line in lines if line["method"] == "POST")
    api = FacebookAdsApi(FacebookSession(access_token="made-up"))
    account, audience = AdAccount("act_1", api=api), CustomAudience("1", api=api)
    for call, body in ((account.create_custom_audience, create), (audience.create_user, upload)):
        # A wrong value of a closed set is a warning, and warnings are errors here.
        checker = call(params=body, pending=True)._param_checker
        assert all(map(checker.is_valid_key, body))
    with pytest.raises(UserWarning):
        account.create_custom_audience(params={"subtype": "NONE_SUCH"}, pending=True)
    assert set(upload["payload"]["schema"]) - {"LOOKALIKE_VALUE"} <= set(
        vars(CustomAudience.Schema.MultiKeySchema).values()
    )


def use_meta_s_client(url: str) -> tuple[list[str], dict[str, Any], FacebookRequestError]:
    """Create, page, upload and fail with Meta's own client; return names, an upload's answer and the failure."""
    session = FacebookSession(access_token=CREDENTIALS["facebook"]["FACEBOOK_ACCESS_TOKEN"])
    session.GRAPH = f"{url}/facebook"
    api = FacebookAdsApi(session, api_version="v26.0")
    account = AdAccount("act_1001", api=api)
    with session.requests:
        for number in range(45):
            params = {
                "name": f"audience {number}",
                "subtype": CustomAudience.Subtype.custom,
                "customer_file_source": CustomAudience.CustomerFileSource.user_provided_only,
            }
            made = account.create_custom_audience(params=params)
        names = [found["name"] for found in account.get_custom_audiences(fields=["name"], params={"limit": 20})]
        payload = {"schema": ["EMAIL", "FN"], "data": [["a" * 64, ""], ["no hash", ""]]}
        upload_session = {"session_id": 7, "batch_seq": 1, "last_batch_flag": True}
        answer = CustomAudience(made["id"], api=api).create_user(params={"payload": payload, "session": upload_session})
        try:
            CustomAudience("1", api=api).create_user(params={"payload": payload, "session": upload_session})
        except FacebookRequestError as error:
            return names, answer.export_all_data(), error
    raise AssertionError("an unknown audience was not refused")


async def test_meta_s_own_client_pages_creates_and_uploads_at_the_sandbox_and_reads_its_errors() -> None:
    async with sandbox_running() as url:
        names, answer, error = await asyncio.to_thread(use_meta_s_client, url)
    assert names == [f"audience {number}" for number in range(45)]
    assert (answer["num_received"], answer["num_invalid_entries"]) == (2, 1)
    code = f"{error.api_error_code()}/{error.api_error_subcode()}"
    assert CODES[code] == "audience_gone"
