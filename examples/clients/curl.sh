#!/bin/sh
# Upload two made-up people with curl: URL=http://127.0.0.1:8080 TOKEN=... sh curl.sh
set -eu
batch="{\"sessionId\": $(date +%s), \"sequence\": 1, \"totalBatches\": 1, \"totalUsers\": 2}"
users='[{"email": "ada@example.com", "firstName": "Ada"}, {"email": "soren@example.com", "firstName": "Søren"}]'

# --fail-with-body: print what was answered and exit 22 if it is a refusal.
curl --silent --show-error --fail-with-body --max-time 70 \
    ${TOKEN:+--header "Authorization: Bearer $TOKEN"} \
    --form-string "name=Example curl" \
    --form-string "batch=$batch" \
    --form-string "users=$users" \
    "${URL:-http://127.0.0.1:8080}/audience?sync=true"
echo
