# Publish two made-up people with kcat: a file is one record, whose bytes are Avro's single-object encoding.
set -eu
out=${OUT:-.}
"${PYTHON:-python3}" record.py "Example kcat" > "$out/record.bin"
kcat -P -b "${BOOTSTRAP_SERVERS:-127.0.0.1:9092}" -t "${TOPIC:-audience.batches}" -k "custom:Example kcat" \
  -X enable.idempotence=true -X partitioner=murmur2_random -H audience-source=crm "$out/record.bin"
