"""Upload two made-up people with requests: URL=http://127.0.0.1:8080 TOKEN=... python python_requests.py"""

import json
import os
import sys
import time

import requests

users = [{"email": "ada@example.com", "firstName": "Ada"}, {"email": "soren@example.com", "firstName": "Søren"}]
batch = {"sessionId": int(time.time()), "sequence": 1, "totalBatches": 1, "totalUsers": len(users)}
token = os.environ.get("TOKEN")

# (None, text): a part without a file name. Leave Content-Type out, files= sets it with its boundary.
answer = requests.post(
    os.environ.get("URL", "http://127.0.0.1:8080") + "/audience",
    params={"sync": "true"},
    headers={"Authorization": f"Bearer {token}"} if token else {},
    files={
        "name": (None, "Example requests"),
        "batch": (None, json.dumps(batch)),
        "users": (None, json.dumps(users)),
    },
    timeout=70,
)
print(answer.status_code, answer.text)
sys.exit(0 if answer.ok else 1)
