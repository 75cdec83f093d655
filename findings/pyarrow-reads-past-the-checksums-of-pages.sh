#!/usr/bin/env bash
# pyarrow 26.0.1 reads a Parquet page that differs from its own checksum, and hands on another phone number.
#
# The format has a CRC-32 for each page, which writers such as parquet-java's put there, and pyarrow's with
# write_page_checksum=True. Its reader looks at it only with page_checksum_verification=True, which is off unless said: one
# digit that was damaged on a disk or on its way is then somebody else's number, and no error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import pyarrow
from pyarrow import parquet

written = io.BytesIO()
numbers = pyarrow.table({"phone": ["+14155550100", "+14155550101"]})
parquet.write_table(numbers, written, compression="none", use_dictionary=False, write_page_checksum=True)
page = b"+14155550100\x0c\0\0\0+1"
damaged = written.getvalue().replace(page, page.replace(b"100", b"107"))
assert damaged != written.getvalue()


def read(**options: bool) -> str:
    try:
        return str(parquet.read_table(io.BytesIO(damaged), **options)["phone"].to_pylist())
    except OSError as error:
        return type(error).__name__


unasked, asked = read(), read(page_checksum_verification=True)
print(f"pyarrow {pyarrow.__version__}, a page in which one digit is damaged: {unasked}")
print(f"with page_checksum_verification=True: {asked}")
sys.exit(0 if (unasked, asked) == ("['+14155550107', '+14155550101']", "OSError") else 1)
PYTHON
