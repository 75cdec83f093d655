"""Whatever a file holds, it is read to its end and counted right, or it ends with a sentence; nothing else happens."""

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience_client.columns.mapping import MappingOptions
from audience_client.columns.resolving import map_columns
from audience_client.errors import InputError
from audience_client.files.reading import read_table
from audience_client.files.text import encodings
from audience_client.users.user_reader import UserReader

BEGINS = st.sampled_from(
    [
        "",
        "email,phone\n",
        "email;phone\r\n",
        '"email","phone"\n',
        "email\n",
        "\ufeffemail\tphone\tnote\n",
        '{"email":"ada@example.com"}\n',
        "[",
        "sep=;\nemail;x\n",
        "email,_address_zip,profit,newsletter\n",
    ]
)
TEXTS = st.text(st.sampled_from("ab1@.,;\"\n\r\t|{}[]:\\<' \0é\u2028\x1c"), max_size=60)
LINES = st.lists(
    st.sampled_from(["a@b.c,1", '"a@b.c","1"', '"a,""b",2', ",", "", "a;b", '"x\ny",1', "a,b,c", "é,ü"]), max_size=30
)
WHOLE = BEGINS.flatmap(lambda begin: (TEXTS | LINES.map("\n".join)).map(lambda text: begin + text))


@given(
    content=(WHOLE.map(lambda text: text.encode("utf-8")) | WHOLE.map(lambda text: text.encode("utf-16")))
    | st.binary(max_size=80),
    block=st.sampled_from([3, 50, 1 << 16]),
    only_consented=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_any_content_is_counted_right_or_refused(content: bytes, block: int, *, only_consented: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(encodings, "BLOCK", block)
        path = Path(folder) / "customers"
        path.write_bytes(content)
        try:
            table = read_table(path)
        except InputError:
            return
        try:
            options = MappingOptions(only_consented=only_consented)
            reader = UserReader(table, map_columns(table.name, table.columns, table.samples, options))
            counted = reader.count()
        except InputError:
            return
        finally:
            table.close()
        batches = list(reader.batches(7))
        assert sum(len(msgspec.json.decode(batch.users)) for batch in batches) == counted.users
        rows = [row for batch in batches for row in batch.rows]
        assert rows == sorted(set(rows))
        assert len(list(reader.original_rows(rows))) >= len(rows)
