#!/usr/bin/env bash
# Meta's Python SDK (facebook-business 26.0.3) makes longer phone numbers of extensions, decimals and exponents.
#
# It takes away what is no digit and nothing else: a trunk digit in front of the area code stays, an extension and the .0 of a
# number column are appended, and of scientific notation the mantissa and the exponent become one number.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check facebook-business==26.0.3
"$folder/venv/bin/python" - <<'PYTHON'
import hashlib
import sys

from facebook_business.adobjects.customaudience import CustomAudience

WANTED = {
    "+1 650 555 1212 ext 5": "165055512125",
    "16505551212.0": "165055512120",
    "+4.47911E+11": "44791111",
    "+44 020 7946 0958": "4402079460958",
}
rows = [[phone] for phone in WANTED]
found = [row[0] for row in CustomAudience.format_params(["PHONE"], rows, is_raw=True)["payload"]["data"]]
for (phone, digits), digest in zip(WANTED.items(), found, strict=True):
    is_so = hashlib.sha256(digits.encode()).hexdigest() == digest
    print(f"facebook-business 26.0.3: {phone!r} is hashed as {digits if is_so else 'something else'}")
sys.exit(0 if all(hashlib.sha256(d.encode()).hexdigest() == h for d, h in zip(WANTED.values(), found)) else 1)
PYTHON
