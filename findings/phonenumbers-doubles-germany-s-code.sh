#!/usr/bin/env bash
# phonenumbers 9.0.43 (libphonenumber) reads a German mobile number without its + as a valid German landline.
#
# Exports drop the + and keep the country code. With the region DE, 4915112345678 is not taken for +49 151 12345678: the code is
# doubled, and is_valid_number confirms the result, as numbers of German landlines have so many lengths. The same with ID.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check phonenumbers==9.0.43
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import phonenumbers

WANTED = {("4915112345678", "DE"): "+494915112345678", ("62812345678", "ID"): "+6262812345678"}
found = {}
for text, region in WANTED:
    number = phonenumbers.parse(text, region)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    is_valid = phonenumbers.is_valid_number(number)
    right = phonenumbers.is_valid_number(phonenumbers.parse("+" + text))
    print(f"phonenumbers {phonenumbers.__version__}: {text} in {region} is {e164}, valid: {is_valid}; with a + valid: {right}")
    found[text, region] = e164 if is_valid and right else "something else"
sys.exit(0 if found == WANTED else 1)
PYTHON
