"""What Kafka refuses is told in its own word: in the log, by `/readyz`, to who uploads and to who publishes."""

import asyncio
import contextlib
import os
import socketserver
import ssl
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs
from test_cli import audience
from test_writer import set_limit
from world import World, consuming_one, make_topics, make_users, sandbox_account, world

from audience import AudiencePublisher, NothingWrittenError, Published, RefusedByKafkaError
from schemas.target import Target
from streams.client.errors import ReaderFailedError
from streams.client.settings import KafkaSettings
from streams.cluster.topics import TopicSpec, ensure_topics
from streams.local.broker import LocalBroker
from streams.processes.ports import free_port
from streams.read.commits import COMMIT_EVERY
from streams.read.group_reader import GroupReader
from streams.write.writer import Writer

TOLD = "Kafka refuses records; waiting does not help."

AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
"""A broker that asks for rights; as nobody logs in, everybody is User:ANONYMOUS."""


@pytest.fixture(scope="module")
async def guarded(kafka: KafkaSettings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaSettings]:
    """A Kafka where rights can be taken away."""
    del kafka  # asked for so that these tests count as those that need one
    data = tmp_path_factory.mktemp("guarded")
    async with LocalBroker(data=data, port=free_port(), properties=AUTHORIZER, report=lambda _: None) as broker:
        yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


async def deny(
    kafka: KafkaSettings, name: str, operation: AclOperation, kind: ResourceType = ResourceType.TOPIC
) -> None:
    """Take one right on a topic, or another resource, away from everybody."""

    def binding(operation: AclOperation, permission: AclPermissionType) -> AclBinding:
        return AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", operation, permission)

    all_others = binding(AclOperation.ALL, AclPermissionType.ALLOW)
    denied = binding(operation, AclPermissionType.DENY)
    admin = AdminClient(kafka.client())
    for created in admin.create_acls([all_others, denied]).values():
        await asyncio.to_thread(created.result, 10)
    if kind == ResourceType.TOPIC and name != "*":
        await until_in_force(admin, name, operation, is_allowed=False)


async def allow(kafka: KafkaSettings, name: str, kind: ResourceType = ResourceType.TOPIC) -> None:
    """Give back all rights on a topic, or another resource."""
    literal, anything = ResourcePatternType.LITERAL, AclOperation.ANY
    every = AclBindingFilter(kind, name, literal, None, None, anything, AclPermissionType.ANY)
    admin = AdminClient(kafka.client())
    for deleted in admin.delete_acls([every]).values():
        await asyncio.to_thread(deleted.result, 10)
    if kind == ResourceType.TOPIC and name != "*":
        await until_in_force(admin, name, AclOperation.READ, is_allowed=True)


async def until_in_force(admin: AdminClient, topic: str, operation: AclOperation, *, is_allowed: bool) -> None:
    """Return when the broker goes by what the controller has: a moment later."""
    async with asyncio.timeout(30):
        while True:
            topics = TopicCollection([topic])
            asked = admin.describe_topics(topics, include_authorized_operations=True, request_timeout=10)[topic]
            found = await asyncio.to_thread(asked.result, 10)
            if (operation in found.authorized_operations) == is_allowed:
                return
            await asyncio.sleep(0.05)


async def readiness(found: World) -> tuple[int, str]:
    async with found.session.get(f"{found.url}/readyz") as response:
        return response.status, await response.text()


async def until_ready(found: World) -> None:
    async with asyncio.timeout(30):
        while await readiness(found) != (200, "ready"):
            await asyncio.sleep(0.1)


async def test_without_the_right_to_write_uploads_are_refused_in_kafka_s_word_until_it_is_granted(
    guarded: KafkaSettings, topic_prefix: str
) -> None:
    async with world(guarded, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await until_ready(found)
        await deny(guarded, found.names.batches, AclOperation.WRITE)
        with capture_logs() as lines:
            for number in range(4):
                status, body, headers = await found.upload(make_users(2), name=f"VIP {number}")
                assert (status, "Retry-After" in headers) == (500, False)
                (error,) = body["errors"]
                assert error.startswith(
                    f"kafka_not_allowed: Kafka refuses to take records of {found.names.batches} "
                    "(TOPIC_AUTHORIZATION_FAILED: Topic authorization failed). Grant"
                )
        told = [line for line in lines if line["event"] == TOLD]
        assert [(line["topic"], line["kafka"]) for line in told] == [
            (found.names.batches, "TOPIC_AUTHORIZATION_FAILED")
        ]
        status, why = await readiness(found)
        assert (status, "TOPIC_AUTHORIZATION_FAILED" in why) == (503, True)
        await allow(guarded, found.names.batches)
        await until_ready(found)  # though nobody uploads to a server that is not ready
        assert (await found.upload(make_users(2)))[0] == 200


async def test_an_upload_that_is_too_large_for_the_topic_is_refused_in_kafka_s_word_and_others_are_taken(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    async with world(kafka, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await until_ready(found)
        await set_limit(kafka, found.names.batches, 30_000)
        many = [{"email": f"{os.urandom(16).hex()}@example.com"} for _ in range(3000)]
        status, body, headers = await found.upload(many)
        assert (status, "Retry-After" in headers) == (500, False)
        assert body["errors"][0].startswith("kafka_too_large: Kafka refuses to take records of ")
        assert "MSG_SIZE_TOO_LARGE" in body["errors"][0]
        assert (await found.upload(make_users(2), name="few"))[0] == 200
        status, text = await readiness(found)
        assert status == 200
        assert text.startswith("ready, but Kafka refuses to take records of ")
        assert "MSG_SIZE_TOO_LARGE" in text


async def test_a_publisher_is_told_in_kafka_s_word_what_it_may_not_do_and_publishes_once_it_may(
    guarded: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    async with world(guarded, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await deny(guarded, found.names.batches, AclOperation.WRITE)
        async with AudiencePublisher(guarded, prefix=topic_prefix) as publisher:
            with pytest.raises(RefusedByKafkaError, match="TOPIC_AUTHORIZATION_FAILED") as refused:
                await publisher.publish([{"email": "ada@example.com"}], name="VIP")
            assert refused.value.kind == "kafka_not_allowed"
            settings = {
                "KAFKA_BOOTSTRAP_SERVERS": guarded.bootstrap_servers,
                "AUDIENCE_TOPIC_PREFIX": topic_prefix,
            }
            users = tmp_path / "users.json"
            users.write_text('[{"email":"ada@example.com"}]')
            code, _, errors = await audience(tmp_path, "publish", str(users), "--name", "VIP", **settings)
            assert (code, "Traceback" in errors) == (1, False)
            assert "audience publish: kafka_not_allowed: " in errors
            await allow(guarded, found.names.batches)
            await until_in_force(
                AdminClient(guarded.client()), found.names.batches, AclOperation.WRITE, is_allowed=True
            )
            again = await published_again(publisher, refused.value.batch_id)
            assert again.batch_id == refused.value.batch_id


async def published_again(publisher: AudiencePublisher, batch_id: str) -> Published:
    """Publish as the error says, until the client knows of its right: it keeps a topic's refusal for a while."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await publisher.publish([{"email": "ada@example.com"}], name="VIP", batch_id=batch_id)
            except RefusedByKafkaError:
                await asyncio.sleep(0.5)


async def test_a_consumer_that_may_not_write_completions_is_blocked_in_kafka_s_word_and_goes_on_once_it_may(
    guarded: KafkaSettings, topic_prefix: str
) -> None:
    async with world(guarded, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await until_ready(found)
        await deny(guarded, found.names.completions, AclOperation.WRITE)
        served = sandbox_account(Target("tiktok"), found.sandbox_url)
        address = f"127.0.0.1:{free_port()}"
        async with consuming_one(served, guarded, found.names, changed={"AUDIENCE_HEALTH_LISTEN": address}):
            with capture_logs() as lines:
                status, body, _ = await found.upload(make_users(2), "?sync=true")
            assert status == 400
            assert body["errors"][0].startswith("tiktok: blocked: kafka_not_allowed (TOPIC_AUTHORIZATION_FAILED)")
            assert [line["topic"] for line in lines if line["event"] == TOLD] == [found.names.completions]
            async with found.session.get(f"http://{address}/readyz") as response:
                text = await response.text()
                assert (response.status, "TOPIC_AUTHORIZATION_FAILED" in text) == (503, True)
            await allow(guarded, found.names.completions)
            (told,) = await found.completions(1)
            assert told.status == "delivered"
            status, _, _ = await found.upload(make_users(2, 2), "?sync=true", name="later")
            assert status == 200


async def test_a_group_that_may_not_read_says_so_once_is_not_ready_and_goes_on_once_it_may(
    guarded: KafkaSettings, topic_prefix: str
) -> None:
    async with world(guarded, topic_prefix, providers=["tiktok"], consuming=()) as found:
        await deny(guarded, found.names.batches, AclOperation.READ)
        served = sandbox_account(Target("tiktok"), found.sandbox_url)
        address = f"127.0.0.1:{free_port()}"
        with capture_logs() as lines:
            async with consuming_one(served, guarded, found.names, changed={"AUDIENCE_HEALTH_LISTEN": address}):
                assert (await found.upload(make_users(2)))[0] == 200
                async with asyncio.timeout(30):
                    while "TOPIC_AUTHORIZATION_FAILED" not in (text := await health(found, address)):
                        await asyncio.sleep(0.1)
                assert text.startswith(f"Kafka does not let us read {found.names.batches}")
                await allow(guarded, found.names.batches)
                (told,) = await found.completions(1)
                assert told.status == "delivered"
                assert await health(found, address) == "ready"
        events = [line["event"] for line in lines]
        assert events.count("Kafka does not let us read; waiting does not help.") == 1
        assert events.count("Kafka lets us read again.") == 1


async def health(found: World, address: str) -> str:
    """Return what a consumer says of its readiness; nothing where it does not listen yet."""
    try:
        async with found.session.get(f"http://{address}/readyz") as response:
            return await response.text()
    except OSError:
        return ""


async def test_leaving_without_the_right_to_commit_is_not_waited_for_and_fills_no_log(
    guarded: KafkaSettings, topic_prefix: str
) -> None:
    await ensure_topics(guarded, [TopicSpec(topic_prefix, 2)])
    await deny(guarded, topic_prefix, AclOperation.READ)
    with capture_logs() as lines:
        reader = GroupReader(guarded, group_id=topic_prefix, topic=topic_prefix, first_offset=lambda _: 0)
        async with reader, asyncio.timeout(30):
            while reader.refusal is None or len(reader.partitions) < 2:
                await asyncio.sleep(0.05)
            await asyncio.sleep(3 * COMMIT_EVERY)  # time for commits, which are all refused
    events = [line["event"] for line in lines]
    assert events.count("Kafka refused a commit.") == 1
    assert "Kafka did not confirm the last commit in time; it may be repeated." not in events


async def test_a_publisher_that_may_write_nothing_at_all_is_told_so_and_by_what_its_producer_failed(
    guarded: KafkaSettings, topic_prefix: str
) -> None:
    names = await make_topics(guarded, topic_prefix)
    every_topic, cluster = (ResourceType.TOPIC, "*"), (ResourceType.BROKER, "kafka-cluster")
    await deny(guarded, cluster[1], AclOperation.IDEMPOTENT_WRITE, cluster[0])
    await deny(guarded, every_topic[1], AclOperation.WRITE, every_topic[0])
    await until_in_force(AdminClient(guarded.client()), names.batches, AclOperation.WRITE, is_allowed=False)
    try:
        async with AudiencePublisher(guarded, prefix=topic_prefix) as publisher:
            for expected in ((RefusedByKafkaError, NothingWrittenError), NothingWrittenError):
                with pytest.raises(expected, match="CLUSTER_AUTHORIZATION_FAILED"):  # at once, or by the first record
                    await publisher.publish([{"email": "ada@example.com"}], name="VIP")
    finally:
        for kind, name in (every_topic, cluster):
            await allow(guarded, name, kind)
        await until_in_force(AdminClient(guarded.client()), names.batches, AclOperation.WRITE, is_allowed=True)


async def test_ingestion_that_may_not_read_says_so_while_its_view_is_not_built_and_builds_it_once_it_may(
    guarded: KafkaSettings, topic_prefix: str
) -> None:
    names = await make_topics(guarded, topic_prefix)
    async with Writer(guarded) as writer:
        await writer.send(names.receipts, "any", b"no receipt")
    await deny(guarded, names.receipts, AclOperation.READ)
    with capture_logs() as lines:
        async with world(guarded, topic_prefix, providers=["tiktok"], consuming=()) as found:
            async with asyncio.timeout(60):
                while "TOPIC_AUTHORIZATION_FAILED" not in (told := await readiness(found))[1]:
                    await asyncio.sleep(0.1)
            assert told[0] == 503
            assert f"; Kafka does not let us read {names.receipts} (" in told[1]
            await allow(guarded, names.receipts)
            await until_ready(found)
    about = [line for line in lines if line["event"] == "Kafka does not let us read; waiting does not help."]
    assert [line["topic"] for line in about] == [names.receipts]


async def test_a_member_that_another_one_with_its_name_has_put_out_ends_by_kafka_s_word(
    kafka: KafkaSettings, topic_prefix: str
) -> None:
    await ensure_topics(kafka, [TopicSpec(topic_prefix, 2)])
    own = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, properties={"group.instance.id": "a"})

    def member() -> GroupReader:
        return GroupReader(own, group_id=topic_prefix, topic=topic_prefix, first_offset=lambda _: 0)

    async with member() as first, asyncio.timeout(60):
        while not first.partitions:
            await asyncio.sleep(0.05)
        async with member():
            with pytest.raises(
                ReaderFailedError, match=r"_FATAL: .*fenced by other consumer with same group\.instance\.id"
            ):
                async for _ in first.batches():
                    pass


@contextlib.asynccontextmanager
async def tls_server(folder: Path) -> AsyncIterator[str]:
    """Run a server of TLS that nobody has a reason to trust; yields its address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made-up")]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(hours=1))
    (folder / "certificate.pem").write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem")

    class Handshake(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(10)
            with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True):
                pass

    # Threads, because asyncio's server leaves a handshake that is not finished behind when it closes.
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handshake) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            await asyncio.to_thread(server.shutdown)
            serving.join()


async def test_who_cannot_connect_for_a_reason_that_stays_is_told_it(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as address:
        own = KafkaSettings(bootstrap_servers=address, properties={"security.protocol": "ssl"})
        async with Writer(own) as writer, asyncio.timeout(60):
            while writer.trouble != "Kafka can't be reached (_SSL)":
                await asyncio.sleep(0.05)
