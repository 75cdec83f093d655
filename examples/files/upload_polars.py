"""Upload a Polars data frame, row by row; `python upload_polars.py NAME`."""

import sys

import polars as pl

from audience_client import Client

customers = pl.DataFrame(
    {
        "email": ["ada@example.com", "soren@example.com", None],
        "phone": [None, None, "+14155550100"],
        "postal_code": ["01067", None, "94107"],
    }
)

with Client() as client:
    uploaded = client.upload(customers.iter_rows(named=True), name=sys.argv[1])

print(f"session {uploaded.session_id}")
