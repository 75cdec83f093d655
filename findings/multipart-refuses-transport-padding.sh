#!/usr/bin/env bash
# multipart 2.0.1 (Python) refuses a body whose delimiter line ends in a blank, which RFC 2046 allows.
#
# RFC 2046, 5.1.1, lets transport padding, blanks and TABs, stand behind a delimiter, and asks receivers to take it; some
# clients and gateways write it. Python's own email parser reads the same bytes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check multipart==2.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import email
import sys

from multipart import MultipartError, PushMultipartParser

body = b'--b \r\nContent-Disposition: form-data; name="name"\r\n\r\nVIP\r\n--b--\r\n'
try:
    with PushMultipartParser("b") as parser:
        events = [event for event in parser.parse(body) if event is not None]
    said = f"{len(events)} events"
except MultipartError as error:
    said = f"refused ({type(error).__name__})"
read = email.message_from_bytes(b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + body)
parts = [part.get_payload() for part in read.get_payload()]
print("multipart 2.0.1, a blank behind a delimiter:", said)
print("Python's email parser reads:", parts)
sys.exit(0 if said.startswith("refused") and parts == ["VIP"] else 1)
PYTHON
