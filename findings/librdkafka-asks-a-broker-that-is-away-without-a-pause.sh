#!/usr/bin/env bash
# A question about a cluster takes whole cores while one of its brokers is away: confluent-kafka 2.16.0 (librdkafka 2.16.0).
#
# Clients of librdkafka connect to the brokers that they need. A request of the AdminClient that needs a broker which is
# away has it connected to; that fails, the broker's change of state wakes the request, and it asks for the connection
# again at once, thousands of times a second, for as long as the request may take. `reconnect.backoff.ms` (100 by
# default, up to 10 s) holds for connections that librdkafka makes by itself only. A client with the setting
# `enable.sparse.connections` off makes all of them by itself, and then there is a pause.
# The cluster here is librdkafka's own for tests, with three brokers of which one is away; a local Apache Kafka 4.3.0 of
# three nodes shows the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check confluent-kafka==2.16.0
cat > "$folder/show.py" <<'PYTHON'
import ctypes, glob, json, os, sys

import confluent_kafka
from confluent_kafka.admin import AdminClient

bundled = os.path.join(os.path.dirname(os.path.dirname(confluent_kafka.__file__)), "confluent_kafka.libs", "librdkafka*")
kafka = ctypes.CDLL(glob.glob(bundled)[0])
for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
    getattr(kafka, name).restype = ctypes.c_void_p
kafka.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
text = ctypes.create_string_buffer(500)
producer = kafka.rd_kafka_new(0, ctypes.c_void_p(kafka.rd_kafka_conf_new()), text, 500)
cluster = ctypes.c_void_p(kafka.rd_kafka_mock_cluster_new(ctypes.c_void_p(producer), 3))
servers = kafka.rd_kafka_mock_cluster_bootstraps(cluster).decode()


def tries(**settings):
    seen = {}

    def note(stats):
        for name, broker in json.loads(stats)["brokers"].items():
            seen[name] = broker["connects"]

    admin = AdminClient({"bootstrap.servers": servers, "statistics.interval.ms": 100, "stats_cb": note, "log_level": 0, **settings})
    admin.list_topics(timeout=10)
    admin.list_consumer_groups(request_timeout=10).result()  # connects to each of them
    kafka.rd_kafka_mock_broker_set_down(cluster, 2)
    asked = admin.list_consumer_groups(request_timeout=2)
    while not asked.done():
        admin.poll(0.1)
    kafka.rd_kafka_mock_broker_set_up(cluster, 2)
    return max(seen.values())


print("as it is: more than 2,000 tries in two seconds:", tries() > 2000)
print("with reconnect.backoff.ms=1000: more than 2,000:", tries(**{"reconnect.backoff.ms": 1000}) > 2000)
print("with enable.sparse.connections=false: fewer than 50:", tries(**{"enable.sparse.connections": False}) < 50)
sys.stdout.flush()
os._exit(0)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/show.py" 2>"$folder/errors") || { tail -5 "$folder/errors"; exit 1; }
expected="as it is: more than 2,000 tries in two seconds: True
with reconnect.backoff.ms=1000: more than 2,000: True
with enable.sparse.connections=false: fewer than 50: True"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "This has changed; expected: $expected"; exit 1; }
