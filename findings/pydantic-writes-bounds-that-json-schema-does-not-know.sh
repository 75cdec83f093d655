#!/usr/bin/env bash
# A bound that stands behind a validator is written under a name that JSON Schema does not have: pydantic 2.14.3.
#
# `Field(ge=0)` becomes `minimum` in the schema of a plain whole number. Behind a `BeforeValidator` the same bound is written
# as `ge`, which no draft of JSON Schema knows, and validators pass over what they do not know: pydantic refuses -1, and the
# schema that it hands out, as for an OpenAPI document, takes it. Where the validator comes last, all is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.3 jsonschema==4.26.0
cat > "$folder/show.py" <<'PYTHON'
import json
from typing import Annotated

import jsonschema
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

whole = BeforeValidator(lambda value: value)
for how, kind in (("before", Annotated[int, whole, Field(ge=0)]), ("last", Annotated[int, Field(ge=0), whole])):
    adapter = TypeAdapter(kind)
    try:
        adapter.validate_python(-1)
    except ValidationError:
        schema = adapter.json_schema()
        jsonschema.Draft202012Validator.check_schema(schema)
        takes = jsonschema.Draft202012Validator(schema).is_valid(-1)
        print(f"validator {how}: pydantic refuses -1, {json.dumps(schema, sort_keys=True)} takes it: {takes}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py")
expected='validator before: pydantic refuses -1, {"ge": 0, "type": "integer"} takes it: True
validator last: pydantic refuses -1, {"minimum": 0, "type": "integer"} takes it: False'
echo "$seen"
[ "$seen" = "$expected" ] || { printf 'This has changed; expected:\n%s\n' "$expected"; exit 1; }
