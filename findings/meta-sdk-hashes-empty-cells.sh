#!/usr/bin/env bash
# Meta's Python SDK (facebook-business 26.0.3) hashes an empty cell instead of leaving it empty.
#
# Meta's guide to customer-file audiences asks for an empty string where a row has no value. format_params, which the SDK
# offers for raw lists, sends SHA-256 of the empty text, the same for every such customer; a cell of blanks likewise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check facebook-business==26.0.3
"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import sys

from facebook_business.adobjects.customaudience import CustomAudience

rows = [["ada@example.com", ""], ["", "+14155550100"], ["   ", "+14155550101"]]
payload = CustomAudience.format_params(["EMAIL", "PHONE"], rows, is_raw=True)["payload"]
cells = [payload["data"][0][1], payload["data"][1][0], payload["data"][2][0]]
nothing = hashlib.sha256(b"").hexdigest()
print("facebook-business 26.0.3, cells of an empty phone, an empty address, an address of blanks:", *cells, sep="\n  ")
print("SHA-256 of nothing:", nothing, sep="\n  ")
sys.exit(0 if cells == [nothing] * 3 else 1)
PYTHON
