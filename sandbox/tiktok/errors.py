"""How TikTok words its errors: HTTP 200 for everything, `code` decides."""

from aiohttp import web

from sandbox.kit.platform import Refusal, json_answer, trace


def tiktok_error(code: int, words: str) -> web.Response:
    """Return TikTok's answer for an error."""
    return json_answer({"code": code, "message": words, "request_id": trace(), "data": {}})


def refused(code: int, words: str) -> Refusal:
    """Return what refuses a call with this error."""
    return Refusal(tiktok_error(code, words))
