"""A server that speaks OpenAI's protocol in each dialect, and does wrong on demand. It listens on loopback."""

from __future__ import annotations

import contextlib
import gzip
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from nightjar.jobs.remote_models import Dialect

KEY = "sk-fake-0123456789abcdef"
MODEL_AT_FAKE = "fake-large"
PIECE = 8
"""Characters of a reply in one event."""
_EVERY = (
    "model messages stream stream_options temperature top_p frequency_penalty presence_penalty stop response_format "
    "tools"
)
_EVERYWHERE = frozenset(_EVERY.split())
_LLAMA = "max_tokens seed top_k min_p typical_p xtc_probability xtc_threshold repeat_penalty repeat_last_n"
_DRY = "dry_multiplier dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers"
READ_BY = {
    Dialect.OPENAI: _EVERYWHERE | {"max_completion_tokens"},
    Dialect.LLAMA_SERVER: _EVERYWHERE | {*_LLAMA.split(), *_DRY.split(), "chat_template_kwargs"},
    Dialect.VLLM: _EVERYWHERE | {"max_tokens", "seed", "top_k", "min_p", "repetition_penalty", "chat_template_kwargs"},
    Dialect.OLLAMA: _EVERYWHERE | {"max_tokens", "seed"},
    Dialect.LMSTUDIO: _EVERYWHERE | {"max_tokens", "seed", "top_k", "repeat_penalty"},
}
"""What of a chat request each kind of server reads. OpenAI's refuses all else, the others ignore it in silence."""


def example_of(schema: dict[str, Any]) -> Any:
    """A value that the schema takes."""
    if "enum" in schema:
        return schema["enum"][-1]
    if schema.get("type") == "object":
        return {name: example_of(inner) for name, inner in schema.get("properties", {}).items()}
    return {"string": "because", "integer": 1, "number": 1.5, "boolean": True}.get(schema.get("type", ""))


def reply_to(body: dict[str, Any]) -> str:
    """The last message again, or what the request's schema takes."""
    if "response_format" in body:
        return json.dumps(example_of(body["response_format"]["json_schema"]["schema"]))
    return f"Reply to: {body['messages'][-1]['content']}"


@dataclass
class FakeEndpoint:
    """What it answers, and what it was asked. `faults` are used up one a request, before any good answer."""

    dialect: Dialect = Dialect.OPENAI
    key: str | None = KEY
    reply: Callable[[dict[str, Any]], str] = reply_to
    reasoning: str = ""
    says_use: bool = True
    model: str = MODEL_AT_FAKE
    is_website: bool = False
    """It answers a GET with a page."""
    pause_s: float = 0.0
    """Between two events."""
    finish_reason: str = "stop"
    calls: tuple[tuple[str, str], ...] = ()
    """Tools that every answer calls: name, and arguments as it writes them."""
    faults: deque[str] = field(default_factory=deque)
    says: str | None = None
    """Instead of the words of an error in the middle."""
    always: str | None = None
    """A fault of every request."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    charges: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    """(model, usage) of every reply that was begun: what a cloud would charge for."""
    unread: set[str] = field(default_factory=set)
    """What it was sent and does not read."""
    under_way: int = 0
    most_under_way: int = 0
    """Replies at the same time."""
    counting: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0
    scheme: str = "http"
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}/v1"

    @property
    def paid(self) -> list[dict[str, int]]:
        """The usage of all charges."""
        return [use for _, use in self.charges]

    def paid_for(self, model: str) -> list[dict[str, int]]:
        """The same of one model, as it is called there."""
        return [use for name, use in self.charges if name == model]

    def table(self, **changes: Any) -> dict[str, Any]:
        """The endpoint's table in models.toml."""
        given = {"base_url": self.base_url, "kind": str(self.dialect), "allow_private": True}
        return given | ({"key_env": "FAKE_KEY"} if self.key else {}) | changes

    def use_of(self, body: dict[str, Any], text: str) -> dict[str, int]:
        """Four characters are a token, in both directions."""
        asked = sum(len(str(message.get("content"))) for message in body.get("messages", ()))
        return {"prompt_tokens": asked // 4 + 3, "completion_tokens": len(text) // 4 + 1}


@contextlib.contextmanager
def fake_endpoint(context: ssl.SSLContext | None = None, **changes: Any) -> Iterator[FakeEndpoint]:
    """A running one; `context` makes it speak TLS."""
    fake = FakeEndpoint(**changes)

    class Handler(_Handler):
        endpoint = fake

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        fake.scheme = "https"
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    endpoint: ClassVar[FakeEndpoint]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def do_GET(self) -> None:
        self.endpoint.headers.append(dict(self.headers))
        if self.endpoint.is_website:
            self._json(200, "<html>Welcome</html>")
        elif self._admitted():
            self._json(200, {"object": "list", "data": [{"id": self.endpoint.model, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.endpoint.bodies.append(body)
        self.endpoint.headers.append(dict(self.headers))
        if not self._admitted():
            return
        fault = self.endpoint.faults.popleft() if self.endpoint.faults else self.endpoint.always
        if fault is not None and fault in _WHOLE:
            _WHOLE[fault](self)
        elif self.path.endswith("/embeddings"):
            self._embed(body)
        elif self._read(body):
            with self._counted():
                self._chat(body, fault)

    def _read(self, body: dict[str, Any]) -> bool:
        """Whether it takes the request."""
        unread = body.keys() - READ_BY[self.endpoint.dialect]
        self.endpoint.unread |= unread
        if unread and self.endpoint.dialect is Dialect.OPENAI:
            self.fail(400, f"Unrecognized request argument supplied: {min(unread)}")
            return False
        return True

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        fake = self.endpoint
        with fake.counting:
            fake.under_way += 1
            fake.most_under_way = max(fake.most_under_way, fake.under_way)
        try:
            yield
        finally:
            with fake.counting:
                fake.under_way -= 1

    def _admitted(self) -> bool:
        if self.endpoint.key and self.headers.get("authorization") != f"Bearer {self.endpoint.key}":
            self.fail(401, f"Incorrect API key provided: {self.headers.get('authorization')}.", "invalid_api_key")
            return False
        return True

    def fail(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        self._json(status, {"error": {"message": message, "type": "error", "code": code}}, **headers)

    def _json(self, status: int, data: Any, **headers: str) -> None:
        text = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(text)

    def _embed(self, body: dict[str, Any]) -> None:
        texts = body["input"]
        data = [
            {"object": "embedding", "index": n, "embedding": [len(text), text.count("e"), 1.0]}
            for n, text in enumerate(texts)
        ]
        use = {"prompt_tokens": sum(map(len, texts)) // 4 + 1}
        self.endpoint.charges.append((body["model"], use))
        said = {**use, "total_tokens": use["prompt_tokens"]}
        self._json(200, {"object": "list", "model": body["model"], "data": data, "usage": said})

    def _chat(self, body: dict[str, Any], fault: str | None) -> None:
        fake = self.endpoint
        text = fake.reply(body)
        use = fake.use_of(body, text)
        fake.charges.append((body["model"], use))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        named = {"id": "chatcmpl-1", "model": "somebody-else" if fault == "other model" else body["model"]}
        thoughts = "reasoning" if fake.dialect is Dialect.OLLAMA else "reasoning_content"
        for part in _parts(fake.reasoning):
            self._event(named, {thoughts: part})
        for number, part in enumerate(_parts(text)):
            if number == 1 and fault in _BREAKS:
                self._break(fault)
                return
            self._event(named, {"content": part})
            time.sleep(fake.pause_s)
        for at, (name, arguments) in enumerate(fake.calls):
            head = {"index": at, "id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": ""}}
            self._event(named, {"tool_calls": [head]})
            for part in _parts(arguments):
                self._event(named, {"tool_calls": [{"index": at, "function": {"arguments": part}}]})
        if fault == "10 MB":
            with contextlib.suppress(OSError):
                for _ in range(100):
                    self._event(named, {"content": "x" * 100_000})
        reason = "content_filter" if fault == "content filter" else fake.finish_reason
        self._event(named, {}, finish_reason=reason)
        if fake.says_use and fault != "no use":
            said: dict[str, Any] = {**use, "total_tokens": sum(use.values())}
            if fault == "NaN use":
                said = {"prompt_tokens": float("nan"), "completion_tokens": -1, "cost": float("nan")}
            self._write({**named, "choices": [], "usage": said})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _break(self, fault: str) -> None:
        if fault == "half event":
            self._chunk(b'data: {"choices": [{"delta": {"cont')
        if fault in _ERRORS:
            self._write({"error": _ERRORS[fault] | {"message": self.endpoint.says or _ERRORS[fault]["message"]}})
        if fault == "keep-alives":
            while not self.endpoint.stopping.wait(0.1):
                self._chunk(b": still working\n\n")
        if fault == "silence in the middle":
            self.endpoint.stopping.wait(30)
        self.close_connection = True
        self.connection.shutdown(2)

    def _event(self, named: dict[str, Any], delta: dict[str, Any], finish_reason: str | None = None) -> None:
        self._write({**named, "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})

    def _write(self, event: dict[str, Any]) -> None:
        self._chunk(f"data: {json.dumps(event)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


_ERRORS: dict[str, dict[str, Any]] = {
    "error in the middle": {"message": "The server had an error", "code": "500"},
    "numbered error in the middle": {"message": "Upstream failed", "code": 502},
    "too long in the middle": {"message": "This model's maximum context length is 64 tokens", "code": 400},
}
_BREAKS = {*_ERRORS, "cut", "half event", "silence in the middle", "keep-alives"}


def _packed(handler: _Handler) -> None:
    """Asked or not: half a kilobyte that unpacks to half a megabyte."""
    text = gzip.compress(b" " * 500_000)
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.send_header("content-encoding", "gzip")
    handler.send_header("content-length", str(len(text)))
    handler.end_headers()
    handler.wfile.write(text)


def _silent(handler: _Handler) -> None:
    handler.endpoint.stopping.wait(30)
    handler.close_connection = True


def _redirect(handler: _Handler) -> None:
    handler.fail(307, "moved", location="http://127.0.0.1:9/v1/chat/completions")


_WHOLE: dict[str, Callable[[_Handler], None]] = {
    "429": lambda handler: handler.fail(429, "Rate limit reached"),
    "429 retry after": lambda handler: handler.fail(429, "Rate limit reached", retry_after="0.2"),
    "429 retry long": lambda handler: handler.fail(429, "Rate limit reached", retry_after="900"),
    "no credit": lambda handler: handler.fail(429, "You exceeded your current quota", "insufficient_quota"),
    "packed": _packed,
    "500": lambda handler: handler.fail(500, "The server had an error"),
    "503": lambda handler: handler.fail(503, "Overloaded"),
    "503 retry after": lambda handler: handler.fail(503, "Overloaded", retry_after="0.1"),
    "401": lambda handler: handler.fail(401, f"Incorrect API key provided: {handler.headers['authorization']}"),
    "402": lambda handler: handler.fail(402, "Insufficient balance"),
    "404": lambda handler: handler.fail(404, "The model does not exist"),
    "400": lambda handler: handler.fail(400, "Unsupported value: temperature"),
    "too long": lambda handler: handler.fail(
        400, "This model's maximum context length is 64 tokens", "context_length_exceeded"
    ),
    "redirect": _redirect,
    "silence": _silent,
    "not JSON": lambda handler: handler.send_error(500, "<html>bad gateway</html>"),
}


def _parts(text: str) -> list[str]:
    return [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
