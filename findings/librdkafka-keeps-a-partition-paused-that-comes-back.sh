#!/usr/bin/env bash
# A partition that is given up while it is paused, and comes back, stays paused: confluent-kafka 2.16.0 (librdkafka 2.16.0).
#
# A rebalance takes a paused partition from a consumer and gives it back later. Nothing of it is read, without a word,
# until somebody resumes it, which a consumer that takes a new assignment for a new beginning never does.
# The broker here is librdkafka's own for tests; Apache Kafka 4.3.0 shows the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.0
cat > "$folder/show.py" <<'PYTHON'
from confluent_kafka import Consumer, Producer, TopicPartition

broker = Producer({"test.mock.num.brokers": 1, "log_level": 0})
[address] = broker.list_topics(timeout=10).brokers.values()
where = {"bootstrap.servers": f"{address.host}:{address.port}", "log_level": 0}
producer, start = Producer(where), TopicPartition("t", 0, 0)
for _ in range(100):
    producer.produce("t", b"x", partition=0)
producer.flush()


def reads_again(resumes):
    consumer = Consumer({**where, "group.id": "g"})
    consumer.incremental_assign([start])
    assert consumer.poll(30)
    consumer.pause([start])
    consumer.incremental_unassign([start])
    assert consumer.poll(1) is None
    consumer.incremental_assign([start])
    if resumes:
        consumer.resume([start])
    found = consumer.poll(5) is not None
    consumer.close()
    return found


print("read after it came back:", reads_again(resumes=False))
print("read after it came back and was resumed:", reads_again(resumes=True))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" 2>"$folder/errors") || { tail -5 "$folder/errors"; exit 1; }
expected="read after it came back: False
read after it came back and was resumed: True"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
