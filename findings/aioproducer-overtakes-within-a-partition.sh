#!/usr/bin/env bash
# AIOProducer writes records of one partition in another order than they were given: confluent-kafka 2.16.0.
#
# What was given within a batch is grouped by topic and by the partition that the caller named, and each group is written
# as a whole: what is placed by its key is a group of its own, also where the key leads to a partition that other records
# name. So of "add", "remove" (which names the partition) and "add again", the third is written before the second. The
# producer that is not asynchronous keeps the order, and so do the settings for it: idempotence is on in both.
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
settings = {
    "bootstrap.servers": f"{address.host}:{address.port}",
    "enable.idempotence": True,
    "partitioner": "murmur2_random",
    "log_level": 0,
}
KEY = b"custom:VIP"


def in_order(written):
    assert len({message.partition() for message in written}) == 1
    return b", ".join(message.value() for message in sorted(written, key=lambda message: message.offset())).decode()


async def asynchronous():
    async with AIOProducer(dict(settings)) as producer:
        home = (await (await producer.produce("a", b"first", KEY))).partition()
        waiting = [
            await producer.produce("a", b"add", KEY),
            await producer.produce("a", b"remove", KEY, partition=home),
            await producer.produce("a", b"add again", KEY),
        ]
        return home, in_order([await one for one in waiting])


def plain(home):
    written = []
    producer = Producer(settings)
    for value, where in ((b"add", {}), (b"remove", {"partition": home}), (b"add again", {})):
        producer.produce("b", value, KEY, on_delivery=lambda error, message: written.append(message), **where)
    producer.flush()
    return in_order(written)


home, seen = asyncio.run(asynchronous())
print("given: add, remove, add again | AIOProducer wrote:", seen, "| Producer wrote:", plain(home))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" 2>"$folder/errors") || { tail -5 "$folder/errors"; exit 1; }
expected="given: add, remove, add again | AIOProducer wrote: add, add again, remove | Producer wrote: add, remove, add again"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
