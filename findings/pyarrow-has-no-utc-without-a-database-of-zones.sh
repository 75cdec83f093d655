#!/usr/bin/env bash
# pyarrow 26.0.1 makes no Python value of a time of UTC where no database of time zones is.
#
# When somebody unsubscribed is such a time in Parquet. Python's own UTC needs no database, but pyarrow asks zoneinfo for a zone of
# that name; Windows and slim images of Linux have none, and the error says that the module zoneinfo is missing, which it is not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
PYTHONTZPATH="" "$folder/venv/bin/python" - <<'PYTHON'
import sys
import zoneinfo
from datetime import UTC, datetime

import pyarrow

times = pyarrow.array([datetime(2026, 1, 1, 10, tzinfo=UTC)], pyarrow.timestamp("us", "UTC"))
try:
    told = str(times.to_pylist())
except pyarrow.ArrowInvalid as error:
    told = str(error)
without = times.cast(pyarrow.int64()).cast(pyarrow.timestamp("us")).to_pylist()
print(f"pyarrow {pyarrow.__version__}, {len(zoneinfo.available_timezones())} zones: {told}")
print("the same without its zone:", *without)
sys.exit(0 if "must be installed" in told and without == [datetime(2026, 1, 1, 10)] else 1)
PYTHON
