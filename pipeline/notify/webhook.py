"""A web call: POST of JSON, one address, no redirects, no proxy."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from nightjar.config.night_settings import NightSettings
from nightjar.jobs.ending import Hook
from nightjar.pipeline.notify.call import Answer, NotDelivered, Unsure
from nightjar.pipeline.notify.message import body, discord_body, is_discord, web_headers

READ_BYTES = 2000
"""Of the answer; more is not read."""
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class WebCall:
    """A connection that is open and has sent nothing."""

    def __init__(
        self, connection: http.client.HTTPConnection, parts: SplitResult, payload: Mapping[str, Any], secret: str | None
    ) -> None:
        self._connection = connection
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._discord = is_discord(parts.path)
        self._payload = payload
        self._secret = secret
        self._extra = {}
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._extra["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"

    async def send(self) -> Answer:
        """Raises NotDelivered where the answer is a refusal, Unsure where none comes."""
        try:
            return await asyncio.to_thread(self._send)
        except (OSError, http.client.HTTPException) as error:
            raise Unsure(f"sent, but not answered: {_short(error)}") from error

    def _send(self) -> Answer:
        content = discord_body(self._payload) if self._discord else body(self._payload)
        headers = web_headers(self._payload["delivery"], content, datetime.now(UTC), self._secret) | self._extra
        self._connection.request("POST", self._path, body=content, headers=headers)
        response = self._connection.getresponse()
        said = f"{response.status} {response.reason}".strip()
        text = response.read(READ_BYTES).decode("utf-8", "replace")
        if 200 <= response.status < 300:
            return Answer(said=said, output=text or None)
        raise NotDelivered(f"it answered {said}", again=response.status in TRY_AGAIN)

    async def close(self) -> None:
        """Closes the connection."""
        # A thread may be reading: shutting the socket down ends that, closing it alone would not.
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._connection.close()


async def prepare_webhook(hook: Hook, payload: Mapping[str, Any], settings: NightSettings) -> WebCall:
    """Connects, with TLS for https. Raises NotDelivered."""
    parts = urlsplit(hook.target)
    assert parts.hostname is not None, "parse_hook takes no address without a host"
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        tls = ssl.create_default_context()
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=settings.call_timeout_s, context=tls
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=settings.call_timeout_s)
    try:
        await asyncio.to_thread(connection.connect)
    except OSError as error:
        connection.close()
        raise NotDelivered(f"{hook} cannot be reached: {_short(error)}", again=True) from error
    connection.auto_open = 0  # a second connection of its own making could send twice
    secret = settings.webhook_secret
    return WebCall(connection, parts, payload, secret.get_secret_value() if secret is not None else None)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
