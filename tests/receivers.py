"""Local servers that are notified of a run's end: a web server and a mail server that record what they received."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Got:
    """A request that the web server received."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.body)
        return body


@dataclass
class WebReceiver:
    """Answers with `statuses` one after the other, repeating the last one; `on_call` runs before the answer."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    on_call: Callable[[], None] = lambda: None
    refuses: Callable[[Got], bool] = lambda _: False
    """Whether it answers 400 to a request."""
    got: list[Got] = field(default_factory=list)

    @contextmanager
    def serving(self) -> Iterator[WebReceiver]:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, content))
                receiver.on_call()
                status = receiver.statuses.pop(0) if len(receiver.statuses) > 1 else receiver.statuses[0]
                status = 400 if receiver.refuses(receiver.got[-1]) else status
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(b"thanks")

            def log_message(self, *_: Any) -> None: ...

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Does nothing: in these tests callers are meant to die."""

        with Server(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            self.url = f"http://127.0.0.1:{server.server_port}/hooks/secret-token"
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


DISCORD_KEYS = frozenset(
    "content username avatar_url tts embeds allowed_mentions components attachments flags thread_name poll".split()
)
"""Of Discord's "Execute Webhook"."""


def refused_by_discord(got: Got) -> bool:
    """As Discord answers: 400 to a message without content (code 50006), to one of over 2000 characters (50035), and,
    stricter than it, to a key that its documentation does not know."""
    said = got.json
    content = said.get("content")
    known = set(said) <= DISCORD_KEYS and got.headers["content-type"] == "application/json"
    return not known or not isinstance(content, str) or not 0 < len(content.strip()) <= 2000


@dataclass
class MailReceiver:
    """As much of SMTP as a client needs; `refuse` is the answer with which it refuses a recipient."""

    port: int = 0
    refuse: str | None = None
    hang_up_after_data: bool = False
    mails: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @contextmanager
    def serving(self) -> Iterator[MailReceiver]:
        receiver = self

        class Handler(_MailHandler):
            about = receiver

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            self.port = server.server_address[1]
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class _MailHandler(socketserver.StreamRequestHandler):
    about: MailReceiver

    def handle(self) -> None:
        self._say("220 local mail")
        while line := self.rfile.readline().decode().strip():
            self.about.said.append(line)
            word = line.split()[0].upper()
            if word == "DATA":
                self._say("354 go on")
                self.about.mails.append(self._read_mail())
                if self.about.hang_up_after_data:
                    return
            refused = word == "RCPT" and self.about.refuse
            self._say(refused or {"EHLO": "250-local\r\n250 AUTH PLAIN", "AUTH": "235 welcome"}.get(word, "250 fine"))

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _read_mail(self) -> str:
        lines: list[str] = []
        while (line := self.rfile.readline().decode().rstrip("\r\n")) != ".":
            lines.append(line)
        return "\n".join(lines)
