#!/usr/bin/env bash
# A client for questions about a cluster counts as false: confluent-kafka 2.16.0.
#
# AdminClient has a length, that of a queue of records that it never fills, and no truth of its own: so it is false for
# ever. Producer has the same length, and is true also while nothing waits; Consumer is true. `known or AdminClient(...)`
# thus makes another client each time, with its threads and connections, and throws the kept one away; `if admin:` never
# asks. Every answer is right, so that only the processor's time tells. The broker here is librdkafka's own for tests.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.0
cat > "$folder/show.py" <<'PYTHON'
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

broker = Producer({"test.mock.num.brokers": 1, "log_level": 0})
[address] = broker.list_topics(timeout=10).brokers.values()
settings = {"bootstrap.servers": f"{address.host}:{address.port}", "log_level": 0}
admin, producer = AdminClient(settings), Producer(settings)
consumer = Consumer({**settings, "group.id": "made-up"})
truth = {type(one).__name__: bool(one) for one in (admin, producer, consumer)}
lengths = [len(admin), len(producer)]

kept, made = None, set()
for _ in range(3):
    kept = kept or AdminClient(settings)
    assert len(kept.list_topics(timeout=10).brokers) == 1
    made.add(kept)
print(truth, "| lengths of the first two:", lengths, "| clients that three questions took:", len(made))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" 2>"$folder/errors") || { tail -5 "$folder/errors"; exit 1; }
expected="{'AdminClient': False, 'Producer': True, 'Consumer': True} | lengths of the first two: [0, 0]"
expected+=" | clients that three questions took: 3"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
