#!/usr/bin/env bash
# Meta's Python SDK (facebook-business 26.0.3) puts the people whom remove_users takes out into the URL of its DELETE.
#
# add_users of the same list is a POST with a body. Each removed person costs some 70 characters of the request line, so a
# hundred are about as much as common servers and proxies take of one, and the hashes stand in whatever logs URLs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check facebook-business==26.0.3
"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from facebook_business.adobjects.customaudience import CustomAudience
from facebook_business.api import FacebookAdsApi
from facebook_business.session import FacebookSession

MET = {}


class Meta(BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        MET[self.command] = (self.path, body)
        answer = json.dumps({"audience_id": "1", "num_received": 100, "num_invalid_entries": 0}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Meta)
threading.Thread(target=server.serve_forever, daemon=True).start()
FacebookSession.GRAPH = f"http://127.0.0.1:{server.server_port}"
FacebookAdsApi.set_default_api(FacebookAdsApi(FacebookSession(access_token="token")))
people = [f"person-{number}@example.com" for number in range(100)]
audience = CustomAudience("1")
audience.add_users(CustomAudience.Schema.email_hash, people)
audience.remove_users(CustomAudience.Schema.email_hash, people)
hashed = hashlib.sha256(people[0].encode()).hexdigest()
for verb, (path, body) in MET.items():
    print(f"{verb}: {len(path)} characters of URL, {len(body)} bytes of body; the first hash is in the URL: {hashed in path}")
(added, _), (removed, body) = MET["POST"], MET["DELETE"]
sys.exit(0 if hashed not in added and hashed in removed and not body else 1)
PYTHON
