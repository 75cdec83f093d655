"""Upload a pandas data frame; `python upload_pandas.py NAME`."""

import sys

import pandas as pd

from audience_client import Client

# Texts, as numbers lose the zeros of a postal code and the + of a phone number.
customers = pd.DataFrame(
    {
        "email": ["ada@example.com", "soren@example.com", None],
        "phone": [None, None, "+14155550100"],
        "postal_code": ["01067", None, "94107"],
    },
    dtype="str",
)

with Client() as client:
    uploaded = client.upload(customers.to_dict("records"), name=sys.argv[1])

print(f"session {uploaded.session_id}")
