"""What platforms answer where all goes well, and the bytes by which the rows of a call are counted."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

JSON = "application/json"
JSON_API = "application/vnd.api+json"

Body = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a kind of call is answered, by its path and its rows; of an upload also how its rows are counted."""

    method: str
    path: re.Pattern[str]
    body: Body
    status: int = 200
    kind: str = JSON
    mark: bytes = b""
    """Stands as often in an upload's body as it has rows, but for `besides`; no value that is made up has it."""
    besides: int = 0

    def encoded(self, rows: int) -> bytes:
        """Return the answer to a call that had so many rows."""
        return http_answer(self.body(rows), self.status, self.kind)


def http_answer(body: object, status: int = 200, kind: str = JSON) -> bytes:
    """Return a whole answer, its body as JSON."""
    told = json.dumps(body).encode()
    return f"HTTP/1.1 {status} OK\r\nContent-Type: {kind}\r\nContent-Length: {len(told)}\r\n\r\n".encode() + told


def _tiktok(data: object) -> Body:
    return lambda _: {"code": 0, "message": "OK", "request_id": "made-up", "data": data}


def _job(rows: int) -> object:
    done = {"status": "complete", "failed_count": 0, "completed_count": rows, "total_count": rows}
    return {"data": {"type": "profile-bulk-import-job", "id": "job", "attributes": done}}


def _klaviyo_list(_: int) -> object:
    return {"data": {"type": "list", "id": "list", "attributes": {"name": "made-up"}}}


def _facebook_received(rows: int) -> object:
    counts = {"num_received": rows, "num_invalid_entries": 0, "invalid_entry_samples": {}}
    return {"audience_id": "1", "session_id": "1", **counts}


NO_PAGES = {"page": 1, "page_size": 100, "total_number": 0, "total_page": 0}
BETWEEN_ROWS = b"],["
"""Between two rows that are arrays."""

ANSWERS = (
    Answer("POST", re.compile("/facebook/[^/]+/[^/]+/users"), _facebook_received, mark=BETWEEN_ROWS, besides=1),
    Answer("GET", re.compile("/facebook/[^/]+/act_[^/]+/customaudiences"), lambda _: {"data": []}),
    Answer("POST", re.compile("/facebook/[^/]+/act_[^/]+/customaudiences"), lambda _: {"id": "1"}),
    Answer("POST", re.compile("/tiktok/.*/segment/mapping/"), _tiktok({}), mark=BETWEEN_ROWS, besides=1),
    Answer("GET", re.compile("/tiktok/.*/custom_audience/list/"), _tiktok({"page_info": NO_PAGES, "list": []})),
    Answer("POST", re.compile("/tiktok/.*/segment/audience/"), _tiktok({"audience_id": "1"})),
    Answer("POST", re.compile("/klaviyo/api/profile-bulk-import-jobs/?"), _job, 202, JSON_API, b'"type":"profile",'),
    Answer("GET", re.compile("/klaviyo/api/profile-bulk-import-jobs/[^/]+/?"), _job, kind=JSON_API),
    Answer("GET", re.compile("/klaviyo/api/lists/?"), lambda _: {"data": [], "links": {}}, kind=JSON_API),
    Answer("POST", re.compile("/klaviyo/api/lists/?"), _klaviyo_list, 201, JSON_API),
)


def answer_to(method: str, path: str) -> Answer | None:
    """Return how a call is answered, None where no platform has it."""
    return next((one for one in ANSWERS if one.method == method and one.path.fullmatch(path)), None)
