"""Runs the web application: binds first, says where, and ends within a second of being told, whatever streams."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from nightjar.config.errors import ServiceError
from nightjar.web.connections import PatientProtocol

LEAVING_S = 1
"""Answers that have not ended so long after the signal are cut off."""
LARGEST_HEADERS = 32 * 1024
KEEP_ALIVE_S = 5
SILENT_S = 60
"""A peer that neither reads nor answers for so long is gone."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Files of a TLS certificate and its key."""

    chain: Path
    key: Path


class ClosingServer(uvicorn.Server):
    """uvicorn, which otherwise waits forever for open streams: they are told by `closing`. Signals are the caller's."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._closing = closing
        self._started = started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing.set()
        await super().shutdown(sockets)


def listen_at(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ServiceError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", SILENT_S), ("TCP_USER_TIMEOUT", SILENT_S * 1000)):  # accepted sockets inherit
        if (option := getattr(socket, name, None)) is not None:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or str(error)
        raise ServiceError(
            f"Nobody can be served at {host}:{port}: {why}. Give another --port, or end what listens there."
        ) from None
    listener.setblocking(False)
    return listener


async def run_server(
    app: FastAPI,
    listener: socket.socket,
    stop: asyncio.Event,
    *,
    started: Callable[[], None],
    certificate: Certificate | None = None,
    protocol: type[PatientProtocol] = PatientProtocol,
) -> None:
    """Serves until `stop` is set. `started` is called when requests are taken; the app's `closing` event ends streams.

    Forwarded headers are never read here: the gate does that, where it was told to.
    """
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=LEAVING_S,
        h11_max_incomplete_event_size=LARGEST_HEADERS,
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    server = ClosingServer(config, app.state.site.closing, started)
    serving = asyncio.create_task(server.serve([listener]))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
    finally:
        stopped.cancel()
        listener.close()
