#!/usr/bin/env bash
# Klaviyo's own Python SDK (klaviyo-api 25.0.0) creates a list once more after each gateway timeout.
#
# A 504 says that a gateway gave up waiting, not that nothing was done, and lists of one name may exist side by side. The SDK
# repeats every call, those that create included, after 503, 504, 524 and 429, up to three in all. Here the list is there by
# the time that the gateway answers: one call of `create_list` leaves three lists, and ends in an error that tells of none.
# The server here is a stand-in of a few lines.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check klaviyo-api==25.0.0
cat > "$folder/show.py" <<'PYTHON'
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from klaviyo_api import KlaviyoAPI
from openapi_client.exceptions import ApiException

lists = []


class Klaviyo(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        lists.append((self.path, asked["data"]["attributes"]["name"]))
        self.send_response(504)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Klaviyo)
threading.Thread(target=server.serve_forever, daemon=True).start()
klaviyo = KlaviyoAPI("made-up", max_delay=1, max_retries=3, test_host=f"http://127.0.0.1:{server.server_port}")
try:
    klaviyo.Lists.create_list({"data": {"type": "list", "attributes": {"name": "VIP"}}})
    end = "returned"
except ApiException as error:
    end = f"raised {error.status}"
print("one call of create_list", end, "and left", len(lists), "lists:", sorted(set(lists)))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" 2>"$folder/errors") || { tail -5 "$folder/errors"; exit 1; }
expected="one call of create_list raised 504 and left 3 lists: [('/api/lists', 'VIP')]"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
