#!/usr/bin/env bash
# msgspec 0.22.0 says "Input data was truncated" of a whole JSON document that holds half a surrogate pair.
#
# JSON's grammar (RFC 8259, section 7 and 8.2) lets an escape of half a pair stand; Python's json reads it. msgspec refuses it,
# as no UTF-8 can hold it, but where the half is the last thing in a string near the end it reports missing input. A client
# that believes that sends the same document again, for ever. Elsewhere in a document the message names the pair.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys

import msgspec


def told(text: str) -> str:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return str(error)
    return "nothing"


whole = r'["\ud83d"]'
facts = (told(whole), json.loads(whole) == ["\ud83d"], "surrogate" in told(r'["\ud83d", "more text here"]'))
print("msgspec", msgspec.__version__, "says of", whole, ":", facts[0])
print("json reads it:", facts[1], "- behind more text msgspec names the pair:", facts[2])
sys.exit(0 if facts == ("Input data was truncated", True, True) else 1)
PYTHON
