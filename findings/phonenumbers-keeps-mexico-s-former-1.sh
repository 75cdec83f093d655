#!/usr/bin/env bash
# phonenumbers 9.0.43 (libphonenumber) takes a trunk digit behind the country code away, but not Mexico's former 1.
#
# +44 020 ... and +7 8 ... lose the digit that is dialled within the country only, because today's plan has it. Mexico gave
# up the 1 before mobile numbers in 2019: +52 1 ... is kept with it and is then nobody's, as most old lists have it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check phonenumbers==9.0.43
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import phonenumbers

WANTED = {
    "+44 020 7946 0958": ("+442079460958", True),
    "+7 8 912 345-67-89": ("+79123456789", True),
    "+52 1 55 1234 5678": ("+5215512345678", False),
    "+52 55 1234 5678": ("+525512345678", True),
}
found = {}
for text in WANTED:
    number = phonenumbers.parse(text)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    found[text] = (e164, phonenumbers.is_valid_number(number))
    print(f"phonenumbers {phonenumbers.__version__}: {text!r} is {e164}, valid: {found[text][1]}")
sys.exit(0 if found == WANTED else 1)
PYTHON
