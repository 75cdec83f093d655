"""Upload two made-up people with aiohttp: URL=http://127.0.0.1:8080 TOKEN=... python python_aiohttp.py"""

import asyncio
import json
import os
import sys
import time

import aiohttp


async def main() -> int:
    """Return the exit code."""
    users = [{"email": "ada@example.com", "firstName": "Ada"}, {"email": "soren@example.com", "firstName": "Søren"}]
    batch = {"sessionId": int(time.time()), "sequence": 1, "totalBatches": 1, "totalUsers": len(users)}
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("name", "Example aiohttp")
    form.add_field("batch", json.dumps(batch))
    form.add_field("users", json.dumps(users))
    token = os.environ.get("TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = os.environ.get("URL", "http://127.0.0.1:8080") + "/audience?sync=true"
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=70)) as session,
        session.post(url, data=form, headers=headers) as answer,
    ):
        print(answer.status, await answer.text())
        return 0 if answer.ok else 1


sys.exit(asyncio.run(main()))
