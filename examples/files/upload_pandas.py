"""Upload a pandas data frame; `python upload_pandas.py NAME`."""

import sys
import tempfile
from pathlib import Path

import pandas as pd

from audience_client import Client

customers = pd.DataFrame(
    {
        "email": ["ada@example.com", "soren@example.com", None],
        "phone": [None, None, "+14155550100"],
        "postal_code": ["01067", None, "94107"],
    },
    dtype="str",
)

# A file rather than rows: pandas keeps what is missing as NaN, which Parquet writes as what it is.
with tempfile.TemporaryDirectory() as folder, Client() as client:
    path = Path(folder) / "customers.parquet"
    customers.to_parquet(path)
    uploaded = client.upload(path, name=sys.argv[1])

print(f"session {uploaded.session_id}")
