"""A Kafka that lets users in by SCRAM over TLS only, and lets them do only what they may; it notes what that is."""

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from streams.local.broker import HOST, LocalBroker
from streams.processes.ports import free_port

PASSWORD = "made-up-password"

_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"

_NOTES = """
logger.authorizer.name=kafka.authorizer.logger
logger.authorizer.level=debug
"""

_NOTE = re.compile(
    r"Principal = User:(?P<user>\S+) is (?P<verdict>Allowed|Denied) operation = (?P<operation>\w+) from host = \S+ "
    r"on resource = (?P<kind>\w+):LITERAL:(?P<name>\S+) "
)


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """Something that a user may do, or tried to; a name that ends with `*` is a prefix."""

    user: str
    kind: str
    name: str
    operation: str

    def is_of(self, right: "Right") -> bool:
        """Tell whether this use needs a right, as far as that is not implied by another."""
        name = right.name.rstrip("*")
        is_named = self.name.startswith(name) if right.name.endswith("*") else self.name == name
        words = [one.operation.replace("_", "").upper() for one in (self, right)]
        return is_named and (self.user, self.kind) == (right.user, right.kind) and words[0] == words[1]

    def binding(self) -> AclBinding:
        """Return it as Kafka keeps it."""
        pattern = ResourcePatternType.PREFIXED if self.name.endswith("*") else ResourcePatternType.LITERAL
        return AclBinding(
            ResourceType[self.kind.upper()] if self.kind != "cluster" else ResourceType.BROKER,
            self.name.rstrip("*"),
            pattern,
            f"User:{self.user}",
            "*",
            AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.operation).upper()],
            AclPermissionType.ALLOW,
        )


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """Where it is, and where its certificate's authority stands."""

    broker: LocalBroker
    secure: str
    authority: Path

    def settings(self, user: str) -> dict[str, str]:
        """Return the variables by which a user gets in, as docs/cluster.md has them."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.secure,
            "KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "KAFKA_SSL_CA_LOCATION": str(self.authority),
        }

    async def allow(self, rights: Sequence[Right]) -> None:
        """Make the users of these rights, and give them these."""
        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap_servers})
        await asyncio.to_thread(_make, admin, {right.user for right in rights})
        made = admin.create_acls([right.binding() for right in rights])
        await asyncio.gather(*(asyncio.to_thread(each.result, 20) for each in made.values()))

    def noted(self, verdict: str) -> set[Right]:
        """Return what users did, `Allowed`, or tried, `Denied`."""
        text = self.broker.log.read_text(encoding="utf-8", errors="replace")
        return {
            Right(found["user"], found["kind"].lower(), found["name"], found["operation"])
            for found in _NOTE.finditer(text)
            if found["verdict"] == verdict and found["user"] != "ANONYMOUS"
        }


def _make(admin: AdminClient, users: Iterable[str]) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    wanted = [UserScramCredentialUpsertion(user, info, PASSWORD.encode()) for user in users]
    for future in admin.alter_user_scram_credentials(wanted).values():
        future.result(20)


class _NotingBroker(LocalBroker):
    """A broker whose authorizer writes down what it decides."""

    def _configure(self) -> Path:
        properties = LocalBroker._configure(self)
        with (self.data / "log4j2.properties").open("a", encoding="utf-8") as logging:
            logging.write(_NOTES)
        return properties


@asynccontextmanager
async def secure_kafka(data: Path) -> AsyncIterator[SecureKafka]:
    """Run it while the block is entered; only we get in without a password, on a listener of our own."""
    port, secure, controller = (free_port() for _ in range(3))
    authority = write_certificates(data)
    places = f"PLAINTEXT://{HOST}:{port},SASL_SSL://{HOST}:{secure}"
    properties = {
        "listeners": f"{places},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": places,
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(data / "server.pem"),
    }
    async with _NotingBroker(data=data / "kafka", port=port, properties=properties, report=lambda _: None) as broker:
        yield SecureKafka(broker, f"{HOST}:{secure}", authority)


_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def write_certificates(folder: Path) -> Path:
    """Write an authority's certificate, which is returned, and a server's key and certificate, `server.pem`.

    They name each other's keys and what theirs is for, as Python 3.13 asks for by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "made-up authority")])
    public = authority_key.public_key()
    root = (
        _certificate(issuer, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.KeyUsage(**dict.fromkeys(_USES, False) | {"key_cert_sign": True}), critical=True)
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(HOST))]
    leaf = (
        _certificate(issuer, key, HOST)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signed = [one.sign(authority_key, hashes.SHA256()).public_bytes(pem) for one in (root, leaf)]
    (folder / "server.pem").write_bytes(secret + signed[1] + signed[0])
    (folder / "authority.pem").write_bytes(signed[0])
    return folder / "authority.pem"


def _certificate(
    issuer: x509.Name, key: ec.EllipticCurvePrivateKey, subject: str | None = None
) -> x509.CertificateBuilder:
    name = issuer if subject is None else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
