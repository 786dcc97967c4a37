"""The application behind real sockets: slow and silent clients, too many of them, large bodies, and the end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse

from nightjar.config.errors import ServiceError
from nightjar.web.auth.roles import Action
from nightjar.web.connections import PatientProtocol, protocol_with
from nightjar.web.gate import BODY_BYTES, OUR_HEADER
from nightjar.web.routing import Route, mount
from nightjar.web.run import SILENT_S, listen_at, run_server
from nightjar.web.site import site_of
from tests.integration.web.conftest import HOST, Visits
from tests.workbench import until

HEADERS = {"host": HOST, OUR_HEADER: "1"}
OPTIONS = ("TCP_KEEPIDLE", "TCP_USER_TIMEOUT")
SOON_S = 60.0
"""On a busy machine; what is tested ends by itself much sooner."""


@dataclass(frozen=True, kw_only=True)
class Served:
    port: int
    stop: asyncio.Event
    running: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def connect(self, sent: str = "") -> AsyncIterator[asyncio.StreamReader]:
        """A connection on which this was sent."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(sent.encode())
        try:
            yield reader
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def served(visits: Visits, protocol: type[PatientProtocol] = PatientProtocol) -> AsyncIterator[Served]:
    stop, started = asyncio.Event(), asyncio.Event()
    listener = listen_at("127.0.0.1", 0)
    port = listener.getsockname()[1]
    running = asyncio.create_task(run_server(visits.app, listener, stop, started=started.set, protocol=protocol))
    await asyncio.wait_for(started.wait(), SOON_S)
    try:
        yield Served(port=port, stop=stop, running=running)
    finally:
        stop.set()
        await asyncio.wait_for(running, SOON_S)
        site = visits.app.state.site
        await until(lambda: not site.tasks, within_s=SOON_S)  # replies that nobody hears any more are cancelled


async def test_it_ends_though_streams_are_open(visits: Visits) -> None:
    """A stream hears of the end and says goodbye; one that does not is cut off a second later."""
    ended: list[str] = []

    async def polite(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            yield "begun"
            await site_of(request).closing.wait()
            ended.append("polite")
            yield "goodbye"

        return StreamingResponse(pieces())

    async def deaf() -> StreamingResponse:
        async def pieces() -> AsyncIterator[str]:
            yield "begun"
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("deaf")

        return StreamingResponse(pieces())

    mount(visits.app, [Route(method="GET", path="/polite", action=Action.OPEN, answer=polite)])
    mount(visits.app, [Route(method="GET", path="/deaf", action=Action.OPEN, answer=deaf)])
    async with (
        served(visits) as server,
        httpx.AsyncClient(base_url=server.url, headers=HEADERS) as client,
        client.stream("GET", "/polite") as first,
        client.stream("GET", "/deaf") as second,
    ):
        texts, others = first.aiter_text(), second.aiter_text()
        assert await anext(texts) == "begun"
        assert await anext(others) == "begun"
        server.stop.set()
        assert await anext(texts) == "goodbye"
        await asyncio.wait_for(asyncio.shield(server.running), SOON_S)
    assert ended == ["polite", "deaf"]


async def test_headers_that_do_not_arrive_are_not_waited_for(visits: Visits) -> None:
    """Of a client that says nothing, one that says a little now and then, and one that stops after an answer."""
    begun = f"GET /health HTTP/1.1\r\nhost: {HOST}\r\n"
    async with (
        served(visits, protocol_with(request_s=0.3)) as server,
        server.connect() as silent,
        server.connect(f"{begun}x-a: ") as slow,
        server.connect(f"{begun}\r\nGET /hea") as again,
        httpx.AsyncClient(base_url=server.url, headers=HEADERS) as client,
    ):
        for reader in (silent, slow, again):
            with contextlib.suppress(ConnectionResetError):
                await asyncio.wait_for(reader.read(), SOON_S)
        assert (await client.get("/health")).status_code == 200  # others are served meanwhile


HALF_OPEN = 120


async def test_half_open_sockets_do_not_last(visits: Visits) -> None:
    """Many that never say a word, and clients that have closed their side: within a request, behind one, and within a
    body. Others are served meanwhile.
    """
    asked = f"GET /health HTTP/1.1\r\nhost: {HOST}\r\n"
    protocol = protocol_with(request_s=1.0)
    async with served(visits, protocol) as server, contextlib.AsyncExitStack() as stack:
        halves = []
        for sent in (asked, f"{asked}\r\n", f"{asked}content-length: 9\r\n\r\nx"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            stack.callback(writer.close)
            writer.write(sent.encode())
            writer.write_eof()
            halves.append(reader)
        readers = halves + [await stack.enter_async_context(server.connect()) for _ in range(HALF_OPEN)]
        async with httpx.AsyncClient(base_url=server.url, headers=HEADERS) as client:
            assert (await client.get("/health")).status_code == 200
            ends = (asyncio.wait_for(reader.read(), SOON_S) for reader in readers)
            ended = await asyncio.gather(*ends, return_exceptions=True)
            assert all(isinstance(end, bytes | ConnectionResetError) for end in ended), ended
            assert (await client.get("/health")).status_code == 200


@pytest.mark.skipif(not all(hasattr(socket, name) for name in OPTIONS), reason="this system has no such options")
async def test_a_peer_that_vanished_is_noticed(visits: Visits) -> None:
    """It closes nothing: the system asks whether it is there, and gives up on what it does not take."""
    seen: list[tuple[int, ...]] = []

    class Looking(PatientProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            accepted = transport.get_extra_info("socket")
            options = ((socket.SOL_SOCKET, "SO_KEEPALIVE"), *((socket.IPPROTO_TCP, name) for name in OPTIONS))
            seen.append(tuple(accepted.getsockopt(level, getattr(socket, name)) for level, name in options))
            super().connection_made(transport)

    async with served(visits, Looking) as server, httpx.AsyncClient(base_url=server.url, headers=HEADERS) as client:
        await client.get("/health")
    assert seen == [(1, SILENT_S, SILENT_S * 1000)]


async def test_there_are_only_so_many_connections(visits: Visits) -> None:
    async with (
        served(visits, protocol_with(most=2)) as server,
        server.connect(),
        server.connect(),
        server.connect() as third,
    ):
        assert b"503 Service Unavailable" in await asyncio.wait_for(third.read(), SOON_S)


async def test_a_large_body_is_not_read(visits: Visits) -> None:
    """One that says so, and one that comes in pieces without saying."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // 65_536 + 2):
            yield b"x" * 65_536

    async with served(visits) as server, httpx.AsyncClient(base_url=server.url, headers=HEADERS) as client:
        said = await client.post("/login", content=b"x" * (BODY_BYTES + 1))
        assert said.status_code == 413
        try:
            unsaid = await client.post("/login", content=pieces())
        except httpx.WriteError:  # the connection was closed while we still sent
            return
        assert unsaid.status_code == 413


async def test_an_address_that_is_taken() -> None:
    with listen_at("127.0.0.1", 0) as listener:
        listener.listen()
        with pytest.raises(ServiceError, match="another --port"):
            listen_at("127.0.0.1", listener.getsockname()[1])
