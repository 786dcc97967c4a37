"""Connections that cost nothing: one whose request does not arrive in time is closed, and there are only so many."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S = 10.0
"""From the connection, or from the answer before, to the end of a request's headers."""
MOST_CONNECTIONS = 512
FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class PatientProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for headers, which it has not, and a cap on open sockets."""

    request_s = REQUEST_S
    most = MOST_CONNECTIONS
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.write(FULL)
            transport.close()
        else:
            self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        self._wait_for_request()
        super().on_response_complete()

    def _wait_for_request(self) -> None:
        self._stop_waiting()
        self._due = self.loop.call_later(self.request_s, self._too_late)

    def _stop_waiting(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _too_late(self) -> None:
        self._due = None
        self.transport.abort()  # a closed one would wait for a peer that does not read


def protocol_with(**limits: Any) -> type[PatientProtocol]:
    """The protocol with other limits."""
    return type("LimitedProtocol", (PatientProtocol,), limits)
