"""Calls through a proxy: to the platforms' own hosts only, with nothing told to whom it is not for."""

import asyncio
import base64
import datetime
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from test_cli import audience
from world import sandbox_running

from cli.settings.config import CommonSettings, ConfigError, account
from cli.settings.environment import Environment
from providers.kit.proxies import environment_proxy, parse_proxy, shown
from sandbox import CREDENTIALS
from schemas.target import Target, parse_target

HOST = "graph.facebook.com"
FACEBOOK = {"AUDIENCE_PROVIDERS": "facebook", **CREDENTIALS["facebook"]}
WEBHOOK = {"WEBHOOK_BASE_URL": "https://hooks.example.com/x", "WEBHOOK_SECRET": "made-up"}


@dataclass(slots=True)
class Proxy:
    """A proxy that tunnels every host to one port of this machine, and notes what it is asked."""

    to_port: int | None
    port: int = 0
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self.to_port is None or not head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        else:
            there, here = await asyncio.open_connection("127.0.0.1", self.to_port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await asyncio.gather(_copy(reader, here), _copy(there, writer))
            here.close()
        writer.close()


async def _copy(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        to.write(data)
    if to.can_write_eof():
        to.write_eof()


@asynccontextmanager
async def proxying(to_port: int | None) -> AsyncIterator[Proxy]:
    """Run a proxy while the block is entered."""
    found = Proxy(to_port)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


def certificate(folder: Path) -> Path:
    """Make a key and a certificate of the platform's host that trusts itself; return the file of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "platform.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@asynccontextmanager
async def platform(pem: Path) -> AsyncIterator[tuple[int, list[web.Request]]]:
    """Answer look-ups as the platform does, on a port of this machine; yields that and the requests."""
    requests: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request)
        return web.json_response({"data": []})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1], requests
    finally:
        await runner.cleanup()


async def test_a_platform_is_called_through_the_proxy_and_its_password_and_a_netrc_are_told_to_nobody_else(
    tmp_path: Path,
) -> None:
    pem = certificate(tmp_path)
    (tmp_path / ".netrc").write_text(f"machine {HOST} login made-up password made-up-netrc\n")
    async with platform(pem) as (port, requests), proxying(port) as proxy:
        proxied = {"HTTPS_PROXY": f"http://made-up:secret@127.0.0.1:{proxy.port}", "SSL_CERT_FILE": str(pem)}
        code, output, errors = await audience(tmp_path, "check", **FACEBOOK, **proxied, HOME=str(tmp_path))
        assert (code, output) == (0, "facebook: answers, and lets this token look up audiences\n"), errors
        assert proxy.heads[0].startswith(f"CONNECT {HOST}:443 ".encode())
        assert base64.b64encode(b"made-up:secret") in proxy.heads[0]
        headers = requests[0].headers
        assert "Proxy-Authorization" not in headers
        assert "made-up-netrc" not in str(headers)
        assert base64.b64encode(b"made-up:made-up-netrc").decode() not in str(headers)


async def test_a_proxy_that_lets_nobody_through_is_told_as_such(tmp_path: Path) -> None:
    async with proxying(None) as proxy:
        proxied = {"https_proxy": f"made-up:secret@127.0.0.1:{proxy.port}", "HTTPS_PROXY": "http://192.0.2.1:1"}
        code, output, errors = await audience(tmp_path, "check", **FACEBOOK, **proxied)
        assert (code, "unreachable" in output, "proxy HTTP 407" in output) == (1, True, True), output
        assert "secret" not in output + errors


async def test_a_stand_in_on_this_machine_is_never_called_through_a_proxy(tmp_path: Path) -> None:
    async with sandbox_running() as url, proxying(None) as proxy:
        there = f"http://127.0.0.1:{proxy.port}"
        mine = {**FACEBOOK, "FACEBOOK_BASE_URL": f"{url}/facebook", "HTTPS_PROXY": there, "HTTP_PROXY": there}
        code, output, errors = await audience(tmp_path, "check", **mine, ALL_PROXY=there, http_proxy=there)
        assert (code, proxy.heads) == (0, []), output + errors


def used(name: str, **environ: str) -> str | None:
    """Return the proxy of an account's calls."""
    target = parse_target(name)
    made = account(target, Environment(environ, {}), CommonSettings(), made_up=True)
    return made.settings.used_proxy


def test_only_the_platform_s_own_host_gets_the_environment_s_proxy_and_anything_one_of_its_own() -> None:
    common = {"HTTPS_PROXY": "http://proxy.example.com:3128"}
    assert used("facebook", **common) == "http://proxy.example.com:3128"
    assert used("facebook", **common, FACEBOOK_PROXY="off") is None
    assert used("facebook", **common, NO_PROXY="localhost,.facebook.com") is None
    assert used("facebook", **common, FACEBOOK_BASE_URL="https://gateway.example.com") is None
    assert used("webhook", **common, **WEBHOOK) is None, "a proxy would resolve the name for it"
    own = "http://other.example.com:1"
    assert used("webhook", **common, **WEBHOOK, WEBHOOK_PROXY=own) == own
    assert used("facebook/eu", **common, FACEBOOK_PROXY=own) == "http://proxy.example.com:3128"
    assert used("facebook/eu", **common, FACEBOOK_EU_PROXY=own) == own


@pytest.mark.parametrize(
    ("no_proxy", "is_called_through"),
    [
        ("", True),
        ("*", False),
        ("graph.facebook.com:443", False),
        ("facebook.com", False),
        ("book.com", True),
        ("a b", True),
    ],
)
def test_no_proxy_names_hosts_and_domains(no_proxy: str, is_called_through: bool) -> None:
    found = environment_proxy(HOST, "https", {"ALL_PROXY": "p:1", "no_proxy": no_proxy})
    assert (found is not None) == is_called_through


def test_what_is_no_proxy_is_told_by_variable_and_what_lets_in_is_never_shown() -> None:
    with pytest.raises(ConfigError, match=r"^ALL_PROXY: expected the http:// or https:// URL of a proxy, or off;"):
        used("tiktok", ALL_PROXY="socks5://made-up:1")
    with pytest.raises(ConfigError, match=r"^TIKTOK_PROXY: expected the http:// or https://"):
        used("tiktok", TIKTOK_PROXY="ftp://made-up:1")
    assert shown(str(parse_proxy("ada:secret@proxy.example.com:8"))) == "http://proxy.example.com:8"
    made = account(
        Target("tiktok"), Environment({"TIKTOK_PROXY": "http://a:secret@p:1"}, {}), CommonSettings(), made_up=True
    )
    assert "secret" not in repr(made.settings)
