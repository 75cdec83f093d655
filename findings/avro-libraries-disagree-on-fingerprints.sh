#!/usr/bin/env bash
# One schema with a logical type has three fingerprints: fastavro 1.13.1, avro 1.12.2 (Python) and hamba/avro 2.31.0 (Go).
#
# Avro's specification leaves only some attributes in the canonical form of a schema, of which a fingerprint is made, and
# "logicalType" is none of them. fastavro writes {"type":"long","logicalType":"timestamp-millis"} as "long", as the
# specification's rule for primitives says; avro keeps {"type":"long"}; hamba/avro keeps the logical type as well. So a value
# in single-object encoding that one of them wrote names a schema that another has never seen, though it has the same .avsc.
set -euo pipefail
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cat > "$folder/Signup.avsc" <<'AVSC'
{"type":"record","name":"Signup","fields":[{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}
AVSC
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fastavro==1.13.1 avro==1.12.2
python_says=$(cd "$folder" && venv/bin/python - <<'PYTHON'
import json
from pathlib import Path

import avro.schema
import fastavro.schema

text = Path("Signup.avsc").read_text()
canonical = fastavro.schema.to_parsing_canonical_form(fastavro.parse_schema(json.loads(text)))
print(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
print(avro.schema.parse(text).fingerprint("CRC-64-AVRO").hex())
PYTHON
)
mkdir "$folder/go"
cat > "$folder/go/main.go" <<'GO'
package main

import (
	"encoding/hex"
	"fmt"
	"os"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/soe"
)

func main() {
	text, _ := os.ReadFile(os.Args[1])
	mark, err := soe.ComputeFingerprint(avro.MustParse(string(text)))
	if err != nil {
		panic(err)
	}
	fmt.Println(hex.EncodeToString(mark))
}
GO
go_says=$(cd "$folder/go" && export GOMODCACHE="$folder/modules" GOFLAGS=-mod=mod \
  && go mod init example.com/signup 2>/dev/null && go get github.com/hamba/avro/v2@v2.31.0 2>/dev/null && go run . ../Signup.avsc)
echo "CRC-64 of one schema, as they write it (fastavro 1.13.1, avro 1.12.2, hamba/avro 2.31.0):"
printf '%s\n%s\n' "$python_says" "$go_says"
# Written with the lowest byte first they differ, too: none is another one turned around.
[ "$python_says $go_says" = "2a0272145dcad690
2ee926b0880f7c63 33fc219df06eb2a8" ]
