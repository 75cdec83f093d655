"""The types of records are resolved when their modules are imported, before threads can be the first to use them."""

import subprocess
import sys

import pytest

ARE_RESOLVED = """
import gc

def is_resolved(kind):
    return any(type(one).__name__ == "StructInfo" for one in gc.get_referrers(kind))


unresolved = [kind.__name__ for kind in kinds if not is_resolved(kind)]
assert unresolved == [], unresolved
"""
KINDS = {
    "records of the topics": "from schemas.avro import codec; kinds = codec.Record.__constraints__",
    "batches of the publisher": "from producer.request import program_batch; kinds = [program_batch._Batch]",
    "answers to the client": (
        "from audience_client.http import calls, reading, statuses, words;"
        "kinds = [statuses.BatchStatus, statuses.SessionStatus, statuses.SessionPage, statuses.AccountPage,"
        " statuses.RejectedPage, reading._Details, words._Failure]"
    ),
    "states of uploads": "from audience_client.upload import state; kinds = [state.State]",
}


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
def test_types_are_resolved_by_the_import_of_their_module(kinds: str) -> None:
    checked = subprocess.run([sys.executable, "-c", kinds + ARE_RESOLVED], timeout=60, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()
