"""How Meta words its errors."""

from collections.abc import Mapping

from aiohttp import web

from sandbox.kit.platform import json_answer, trace

# Code and subcode: what the message says.
MESSAGES: Mapping[tuple[int, int | None], str] = {
    (1, None): "Please reduce the amount of data you're asking for, then retry your request",
    (2, None): "Service temporarily unavailable",
    (100, None): "(#100) Invalid parameter",
    (100, 33): "Unsupported request. The object does not exist or cannot be loaded due to missing permissions.",
    (100, 1713098): "(#100) The custom audience cannot be created",
    (100, 1713230): "(#100) The upload to this custom audience is blocked",
    (190, None): "Invalid OAuth access token - Cannot parse access token",
    (190, 463): "Error validating access token: Session has expired.",
    (200, 1870090): "(#200) The Custom Audience Terms have not been accepted.",
    (2500, None): "Unknown path components",
    (2635, None): "(#2635) You are calling a deprecated version of the Ads API.",
    (2650, 1870147): "(#2650) The session's first batch is missing.",
    (2650, 1870158): "(#2650) The session has timed out.",
    (2650, 1870159): "(#2650) The session has finished.",
    (80003, 2446079): "(#80003) There have been too many calls to this ad account's custom audiences.",
}
TRANSIENT = frozenset({1, 2})


def meta_error(code: int, subcode: int | None = None, *, status: int = 400, blame: str = "") -> web.Response:
    """Return Meta's answer for an error; `blame` names the parameter that is wrong."""
    error: dict[str, object] = {
        "message": MESSAGES[code, subcode],
        "type": "OAuthException",
        "code": code,
        "is_transient": code in TRANSIENT,
        "fbtrace_id": trace(),
    }
    if subcode is not None:
        error |= {"error_subcode": subcode, "error_user_title": "Refused", "error_user_msg": MESSAGES[code, subcode]}
    if blame:
        error["error_data"] = {"blame_field_specs": [[blame]]}
    return json_answer({"error": error}, status)
