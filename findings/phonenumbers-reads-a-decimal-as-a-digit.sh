#!/usr/bin/env bash
# phonenumbers 9.0.43 (libphonenumber) reads an American number from a number column as a valid Swiss one.
#
# A dot is punctuation to it. So the .0 that a column of floats puts behind 4155550100 is one more digit, and with the + that
# tools add to numbers without one it is a number that can be somebody's, in Switzerland. is_valid_number does not help.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check phonenumbers==9.0.43
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import phonenumbers

text = "+4155550100.0"
number = phonenumbers.parse(text)
facts = (
    phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
    phonenumbers.is_valid_number(number),
    phonenumbers.region_code_for_number(number),
)
print(f"phonenumbers {phonenumbers.__version__}: {text!r} is read as", *facts)
print("without the .0 it is", phonenumbers.is_valid_number(phonenumbers.parse(text.removesuffix(".0"))))
sys.exit(0 if facts == ("+41555501000", True, "CH") else 1)
PYTHON
