"""The bodies of answers to uploads, and of refusals, as types to describe them by."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from producer.request.unknown_names import Ignored

Yes = Annotated[bool, Meta(extra_json_schema={"const": True})]
No = Annotated[bool, Meta(extra_json_schema={"const": False})]
Errors = Annotated[list[str], Meta(min_length=1)]


class Failure(Struct, frozen=True, kw_only=True):
    """A refusal: each error says where something is wrong and what to send or do instead, and repeats no value."""

    success: No
    errors: Errors


class AccountResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """What one account did with an upload. Null where the platform says nothing, or there is nothing to say."""

    provider: str
    account: str | None
    status: str
    received: int
    accepted: int
    rejected: int
    open: int
    reasons: dict[str, int]
    repaired: dict[str, int]
    dropped: dict[str, int]
    error: str | None
    platform_code: str | None
    request_id: str | None
    removed: int | UnsetType | None = UNSET
    superseded: int | UnsetType = UNSET
    other_identifiers_unknown: int | UnsetType = UNSET
    shared_calls: list[str] | UnsetType = UNSET
    shared_unplaced: int | UnsetType = UNSET


class UploadAnswer(Struct, frozen=True, kw_only=True, rename="camel"):
    """An upload that was taken; all but `success` is only told with `detail=true`."""

    success: Yes
    batch_id: str | UnsetType = UNSET
    ignored: list[Ignored] | UnsetType = UNSET
    results: list[AccountResult] | UnsetType = UNSET


class UploadFailure(Struct, frozen=True, kw_only=True, rename="camel"):
    """An upload that was refused, or taken and not delivered everywhere; the latter has details as a success has."""

    success: No
    errors: Errors
    batch_id: str | UnsetType = UNSET
    ignored: list[Ignored] | UnsetType = UNSET
    results: list[AccountResult] | UnsetType = UNSET
