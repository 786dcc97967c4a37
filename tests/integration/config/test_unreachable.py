"""Servers by URL: TLS and passwords work, and what cannot be reached is named within 5 s, never its password."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import subprocess
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from nightjar.config import embedded, mongod, redis_server
from nightjar.config.embedded import ServiceUrls
from nightjar.config.errors import NightjarError, ServiceError, SettingsError
from nightjar.config.programs import find_program
from nightjar.config.settings import Settings
from nightjar.config.urls import address as host_and_port
from nightjar.jobs.database import connect
from nightjar.jobs.queue import Doorbell
from tests.home import port_range

PASSWORD = "hunter2-4f9a"
LIMIT_S = 5.0
BUSY_S = 4.0
"""What a busy machine may add to it."""


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceUrls]:
    """A pair of servers at ports, where others could reach them as well."""
    settings = Settings(
        home=tmp_path_factory.mktemp("ports") / "home", mongo_cache_gb=0.25, embedded_ports=port_range()
    )
    try:
        yield embedded.service_urls(settings)
    finally:
        embedded.down(settings)


async def reach_mongo(url: str) -> None:
    async with await connect(SecretStr(url), "nightjar_test") as database:
        await database.raw.command("ping")


async def reach_redis(url: str) -> None:
    doorbell = await Doorbell.connect(SecretStr(url))
    await doorbell.close()


REACH: dict[str, Callable[[str], Awaitable[None]]] = {"mongo": reach_mongo, "redis": reach_redis}
FORMS = {"mongo": f"mongodb://user:{PASSWORD}@{{}}/", "redis": f"redis://user:{PASSWORD}@{{}}/0"}


async def failure(server: str, url: str, kind: type[NightjarError] = ServiceError) -> str:
    """The error's text; it came in time, names the setting and holds no password."""
    started = time.monotonic()
    with pytest.raises(kind) as caught:
        await REACH[server](url)
    assert time.monotonic() - started < LIMIT_S + BUSY_S, f"{url}: the limit is part of the contract"
    assert PASSWORD not in str(caught.value)
    assert f"NIGHTJAR_{server.upper()}_URL" in str(caught.value)
    return str(caught.value)


@contextmanager
def refusing() -> Iterator[str]:
    """host:port where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield address(closed)  # bound, so that nobody else takes it


@contextmanager
def silent() -> Iterator[str]:
    """host:port of a server that accepts, and then says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield address(listening)


@contextmanager
def black_hole() -> Iterator[str]:
    """host:port that does not answer the very first packet: a full backlog drops it, as a firewall does."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield address(full)


def address(bound: socket.socket) -> str:
    return f"127.0.0.1:{bound.getsockname()[1]}"


async def test_wrong_credentials(services: ServiceUrls) -> None:
    mongo = await failure("mongo", f"mongodb://nightjar:{PASSWORD}@{host_and_port(services.mongo)}/?authSource=admin")
    assert host_and_port(services.mongo) in mongo
    assert "Authentication failed" in mongo
    redis = await failure("redis", f"redis://:{PASSWORD}@{host_and_port(services.redis)}/0")
    assert host_and_port(services.redis) in redis
    assert "password" in redis.lower()


async def test_no_credentials(services: ServiceUrls) -> None:
    assert "requires authentication" in await failure("mongo", f"mongodb://{host_and_port(services.mongo)}/")
    assert "Authentication required" in await failure("redis", f"redis://{host_and_port(services.redis)}/0")


# Slips in options that a driver lets pass: read as "no TLS", or as nothing.
BAD_OPTIONS = [
    ("mongo", "tsl=true", "tsl"),
    ("mongo", "tls=yes", "'true' or 'false'"),
    ("mongo", "tlsCAFile=/no/such/file.pem", "/no/such/file.pem"),
    ("redis", "ssl_ca=/etc/ca.pem", "ssl_ca"),
]


@pytest.mark.parametrize(("server", "option", "named"), BAD_OPTIONS)
async def test_an_option_with_a_slip(server: str, option: str, named: str) -> None:
    assert named in await failure(server, f"{FORMS[server].format('127.0.0.1:1')}?{option}", SettingsError)


class Certificates:
    """An authority, a server's certificate from it, and another authority that did not sign it."""

    def __init__(self, folder: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        self.authority, self.stranger = folder / "ca.pem", folder / "stranger.pem"
        self.server = folder / "server.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        stranger.cert_pem.write_to_path(str(self.stranger))
        certificate.private_key_and_cert_chain_pem.write_to_path(str(self.server))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.context)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_mongo(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    """host:port of a mongod that takes TLS only."""
    folder = tmp_path_factory.mktemp("mongo")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(find_program(mongod).path),
        "--dbpath",
        str(folder),
        "--port",
        str(port),
        "--bind_ip",
        "127.0.0.1",
        "--nounixsocket",
        "--wiredTigerCacheSizeGB",
        "0.25",
        "--tlsMode",
        "requireTLS",
        "--tlsCertificateKeyFile",
        str(certificates.server),
        "--tlsCAFile",
        str(certificates.authority),
        "--tlsAllowConnectionsWithoutCertificates",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(port, server)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def plain_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a redis-server without a password; the bundled one has no TLS of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder = tmp_path_factory.mktemp("redis")
    command = [str(find_program(redis_server).path), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    with subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(port, server)
            yield port
        finally:
            server.terminate()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended at its start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server does not listen")


@asynccontextmanager
async def tls_in_front_of(port: int, context: ssl.SSLContext) -> AsyncIterator[str]:
    """host:port that speaks TLS and hands everything on, as a managed Redis does."""

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_mongo_over_tls(tls_mongo: str, certificates: Certificates) -> None:
    await reach_mongo(f"mongodb://{tls_mongo}/?tls=true&tlsCAFile={certificates.authority}")


async def test_redis_over_tls(plain_redis: int, certificates: Certificates) -> None:
    async with tls_in_front_of(plain_redis, certificates.context) as where:
        await reach_redis(f"rediss://{where}/0?ssl_ca_certs={certificates.authority}")
        text = await failure("redis", f"rediss://{where}/0?ssl_ca_certs={certificates.stranger}")
        assert "certificate verify failed" in text.lower()
        assert where in await failure("redis", f"redis://{where}/0"), "no TLS towards a server that wants it"


async def test_every_way_of_not_being_there(
    services: ServiceUrls, tls_mongo: str, plain_redis: int, certificates: Certificates
) -> None:
    """All at once, since each takes its time. (server, URL, what the error says besides the address)"""
    mongo, redis = FORMS["mongo"].format, FORMS["redis"].format
    with refusing() as refused, silent() as mute, black_hole() as hole, warnings.catch_warnings():
        # pymongo 4.20 leaves a socket that it was still connecting to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        cases = [
            ("mongo", mongo(refused), "connect call failed"),
            ("redis", redis(refused), "connect call failed"),
            ("mongo", mongo(mute), "no answer"),
            ("redis", redis(mute), "timeout"),
            ("mongo", mongo(hole), "no answer"),
            ("redis", redis(hole), "timeout"),
            ("mongo", mongo("no-such-host.invalid"), "no-such-host.invalid"),
            ("redis", redis("no-such-host.invalid"), "no-such-host.invalid"),
            ("mongo", f"mongodb+srv://user:{PASSWORD}@no-such-cluster.invalid/", "dns"),
            # TLS on one side only, or from somebody else.
            ("mongo", f"mongodb://{tls_mongo}/", "closed"),
            (
                "mongo",
                f"mongodb://{tls_mongo}/?tls=true&tlsCAFile={certificates.stranger}",
                "certificate verify failed",
            ),
            ("mongo", f"mongodb://{host_and_port(services.mongo)}/?tls=true", "ssl"),
            ("redis", f"rediss://127.0.0.1:{plain_redis}/0", "time"),
        ]
        texts = await asyncio.gather(*(failure(server, url) for server, url, _ in cases))
        gc.collect()
    for (_, url, said), text in zip(cases, texts, strict=True):
        assert host_and_port(SecretStr(url)) in text, url
        assert said in text.lower(), f"{url}: {text}"
