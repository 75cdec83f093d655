#!/usr/bin/env bash
# email-validator 2.4.0 takes a local part of more than 64 characters unless it is asked to be strict.
#
# RFC 5321 (4.5.3.1.1) allows 64 octets before the @. The default lets longer ones pass, so that "valid" addresses are ones
# to which no mail server need deliver; strict=True refuses them. All other lengths are checked either way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check email-validator==2.4.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

from email_validator import EmailNotValidError, validate_email


def is_valid(address: str, *, strict: bool) -> bool:
    try:
        validate_email(address, check_deliverability=False, strict=strict)
    except EmailNotValidError:
        return False
    return True


address = "a" * 65 + "@example.com"
facts = (is_valid(address, strict=False), is_valid(address, strict=True))
print("email-validator 2.4.0, 65 characters before the @: valid by default", facts[0], "- strict", facts[1])
sys.exit(0 if facts == (True, False) else 1)
PYTHON
