#!/usr/bin/env bash
# AIOProducer takes a partition as Producer does and writes elsewhere, without a word: confluent-kafka 2.16.0.
#
# `produce` of both has the same parameters in the same order. AIOProducer's takes whatever comes after the key and looks
# only at what is given by name: a partition that stands in its place goes unused, and the key decides. `on_delivery`, by
# place or by name, is taken and never called. Headers, on the other hand, raise NotImplementedError.
# The broker here is librdkafka's own for tests.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.0
cat > "$folder/show.py" <<'PYTHON'
import asyncio

from confluent_kafka import Producer
from confluent_kafka.aio import AIOProducer

broker = Producer({"test.mock.num.brokers": 1, "log_level": 0})
[address] = broker.list_topics(timeout=10).brokers.values()
settings = {"bootstrap.servers": f"{address.host}:{address.port}", "log_level": 0}
called = []


def report(error, message):
    called.append(message.partition())


async def asynchronous():
    async with AIOProducer(dict(settings)) as producer:
        by_key = (await (await producer.produce("t", b"x", b"key"))).partition()
        wanted = (by_key + 1) % 4
        by_place = (await (await producer.produce("t", b"x", b"key", wanted, report))).partition()
        by_name = (await (await producer.produce("t", b"x", b"key", partition=wanted, on_delivery=report))).partition()
        return wanted, by_place == by_key, by_name == wanted


wanted, is_by_key, is_named = asyncio.run(asynchronous())
print("AIOProducer: given in its place, the key decides:", is_by_key, "| given by name:", is_named, "| called:", called)
producer = Producer(settings)
producer.produce("t", b"x", b"key", wanted, report)
producer.flush()
print("Producer: given in its place and called with it:", called == [wanted])
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" 2>"$folder/errors") || { tail -5 "$folder/errors"; exit 1; }
expected="AIOProducer: given in its place, the key decides: True | given by name: True | called: []
Producer: given in its place and called with it: True"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
