#!/usr/bin/env bash
# phonenumbers 9.0.43 (libphonenumber) dials the name that stands behind a German number.
#
# Address books write who a number is of. Three letters or more are taken for a vanity number and become keypad digits, which
# are appended: one more person's landline, and valid.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check phonenumbers==9.0.43
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import phonenumbers

text = "030 123456 Frau"
number = phonenumbers.parse(text, "DE")
facts = (
    phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
    phonenumbers.is_valid_number(number),
)
print(f"phonenumbers {phonenumbers.__version__}: {text!r} in DE is {facts[0]}, valid: {facts[1]}")
sys.exit(0 if facts == ("+49301234563728", True) else 1)
PYTHON
