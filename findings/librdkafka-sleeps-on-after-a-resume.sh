#!/usr/bin/env bash
# A partition that is resumed is not read for up to a second: confluent-kafka 2.16.0 (librdkafka 2.16.0).
#
# `pause` lets what was fetched ahead go, so that `resume` has to fetch again; the thread of the broker that would do so is
# not woken, and looks again when its sleep of a second is over. Whoever pauses at a limit, works off what there is, and
# resumes therefore idles for half a second each time. Any request to that broker ends the sleep: here a question for the
# partition's end, whose answer nobody needs.
# The broker here is librdkafka's own for tests; Apache Kafka 4.3.0 shows the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.0
cat > "$folder/show.py" <<'PYTHON'
import random, statistics, time

from confluent_kafka import OFFSET_END, Consumer, Producer, TopicPartition

broker = Producer({"test.mock.num.brokers": 1, "log_level": 0})
[address] = broker.list_topics(timeout=10).brokers.values()
where = {"bootstrap.servers": f"{address.host}:{address.port}", "log_level": 0}
producer, place = Producer(where), TopicPartition("t", 0, 0)
for number in range(1_000):
    producer.produce("t", b"x" * 100, partition=0)
producer.flush()


def pauses(after):
    consumer = Consumer({**where, "group.id": "g"})
    consumer.assign([place])
    assert consumer.poll(30)
    waited = []
    for _ in range(12):
        consumer.pause([place])
        end = time.monotonic() + 0.4 + random.random()
        while time.monotonic() < end:
            assert consumer.poll(0.05) is None
        began = time.monotonic()
        consumer.resume([place])
        after(consumer)
        assert consumer.poll(30).error() is None
        waited.append(time.monotonic() - began)
    consumer.close()
    return statistics.median(waited)


alone = pauses(lambda consumer: None)
asked = pauses(lambda consumer: consumer.offsets_for_times([TopicPartition("t", 0, OFFSET_END)], 1))
print("the first record after a resume comes at least five times later than where a question follows it:", alone > 5 * asked)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" 2>"$folder/errors") || { tail -5 "$folder/errors"; exit 1; }
expected="the first record after a resume comes at least five times later than where a question follows it: True"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
