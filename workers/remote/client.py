"""Speaks to one endpoint through the `openai` package, which no other file imports.

The key never reaches that package: the transport adds it, to requests for the endpoint's own origin and to no other.
Nothing is sent again here, no redirect is followed, and no answer may grow without end.
"""

from __future__ import annotations

import asyncio
import json
import math
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import httpx2
from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, AsyncOpenAI, AsyncStream
from pydantic import SecretStr

from nightjar.config.redact import redact_text
from nightjar.config.version import NIGHTJAR_VERSION
from nightjar.jobs.remote_models import TokenUse
from nightjar.workers.library.endpoints import RemoteEndpoint
from nightjar.workers.remote.failures import FailureKind, RequestFailure, brief, of_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nightjar.config.remote_settings import RemoteSettings

MOST_BYTES = 4_000_000
"""Of one answer: a reply is far below, and MongoDB holds 16 MB for a whole conversation."""
MOST_BYTES_OF_EMBEDDINGS = 64_000_000
EMBEDDINGS_WITHIN_S = 600.0
_SENT_HEADERS = ("accept", "content-type", "content-length", "host", "connection")
_UNREACHABLE = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.PoolTimeout)


@dataclass(frozen=True, kw_only=True)
class ChatPiece:
    """What one event of a stream brings; None where it brings nothing of that."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    """Deltas, as they come."""
    use: TokenUse | None = None
    model: str | None = None
    fingerprint: str | None = None
    id: str | None = None


class EndpointClient:
    """A connection pool to one endpoint. Every call raises RequestFailure, and nothing else but CancelledError."""

    def __init__(self, endpoint: RemoteEndpoint, key: SecretStr | None, settings: RemoteSettings) -> None:
        self._transport = _BoundTransport(endpoint, key)
        self._silence_s = settings.silence_s
        self._http = httpx2.AsyncClient(
            transport=self._transport,
            follow_redirects=False,
            timeout=httpx2.Timeout(settings.silence_s, connect=settings.connect_s),
            trust_env=False,
        )
        self._sdk = AsyncOpenAI(
            api_key="bound-to-the-transport",
            organization="",
            project="",
            base_url=endpoint.base_url,
            max_retries=0,
            http_client=self._http,
            timeout=httpx2.Timeout(settings.silence_s, connect=settings.connect_s),
        )

    async def stream_chat(self, body: Mapping[str, Any]) -> AsyncIterator[ChatPiece]:
        """The pieces of a reply as they come. A stream that ends without saying why is a failure, too."""
        ended = False
        with _failures():
            stream: AsyncStream[object] = await self._sdk.post(
                "/chat/completions", body=dict(body), cast_to=object, stream=True, stream_cls=AsyncStream[object]
            )
        with _failures(begun=True):
            async with stream:
                async for event in stream:
                    piece = read_event(event)
                    ended = ended or piece.finish_reason is not None
                    yield piece
        if not ended:
            raise RequestFailure(FailureKind.CUT, "the stream ended in the middle of the reply", charged=True)

    async def embed(self, model: str, texts: Sequence[str]) -> tuple[list[list[float]], TokenUse | None]:
        """One vector a text, and what it took."""
        body = {"model": model, "input": list(texts), "encoding_format": "float"}
        with _failures():
            async with asyncio.timeout(EMBEDDINGS_WITHIN_S):
                answer = await self._sdk.post("/embeddings", body=body, cast_to=object)
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])  # type: ignore[index]
            vectors = [[float(value) for value in row["embedding"]] for row in rows]
        except (TypeError, KeyError, ValueError, AttributeError):
            raise RequestFailure(FailureKind.INVALID, "the answer holds no embeddings", charged=True) from None
        if len(vectors) != len(texts) or not all(math.isfinite(value) for vector in vectors for value in vector):
            raise RequestFailure(FailureKind.INVALID, "the answer is not one embedding for each text", charged=True)
        return vectors, read_use(answer.get("usage") if isinstance(answer, dict) else None)

    async def list_models(self) -> list[str]:
        """What the endpoint calls its models; costs nothing."""
        with _failures():
            async with asyncio.timeout(self._silence_s):
                answer = await self._sdk.get("/models", cast_to=object)
        if not isinstance(answer, dict) or not isinstance(rows := answer.get("data", ""), list | None):
            said = "what it answers is no list of models; its address ends before /chat/completions, often in /v1"
            raise RequestFailure(FailureKind.INVALID, said)
        return [str(row["id"]) for row in rows or () if isinstance(row, dict) and "id" in row]

    async def close(self) -> None:
        await self._http.aclose()


class _BoundTransport(httpx2.AsyncBaseTransport):
    """Sends to one origin with its key; of the headers only what the protocol needs."""

    def __init__(self, endpoint: RemoteEndpoint, key: SecretStr | None) -> None:
        self._endpoint = endpoint
        self._key = key
        certificates = ssl.create_default_context()  # what this machine trusts, or SSL_CERT_FILE
        self._inner = httpx2.AsyncHTTPTransport(verify=certificates, trust_env=False)
        self._agent = f"nightjar/{NIGHTJAR_VERSION} openai/{version('openai')}"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        there = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        if there != self._endpoint.origin:
            raise httpx2.UnsupportedProtocol("a request for another origin than the endpoint's", request=request)
        for name in [name for name in request.headers if name.lower() not in _SENT_HEADERS]:
            del request.headers[name]
        request.headers["user-agent"] = self._agent
        request.headers["accept-encoding"] = "identity"  # so that the limit counts what is held in memory
        if self._key is not None:
            request.headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        response = await self._inner.handle_async_request(request)
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            await response.aclose()
            raise _PackedError
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        most = MOST_BYTES_OF_EMBEDDINGS if url.path.endswith("/embeddings") else MOST_BYTES
        response.stream = _Limited(response.stream, most)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Limited(httpx2.AsyncByteStream):
    """An answer that ends with an error where it grows too large."""

    def __init__(self, inner: httpx2.AsyncByteStream, most: int) -> None:
        self._inner = inner
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        taken = 0
        async for part in self._inner:
            taken += len(part)
            if taken > self._most:
                raise _TooLargeError
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


class _TooLargeError(httpx2.ReadError):
    def __init__(self) -> None:
        super().__init__("too large")


class _PackedError(httpx2.ReadError):
    """A few kilobytes may be gigabytes once they are unpacked."""

    def __init__(self) -> None:
        super().__init__("packed")


@contextmanager
def _failures(*, begun: bool = False) -> Iterator[None]:
    """Whatever goes wrong inside becomes a RequestFailure. `begun`: the server has answered already."""
    passing = FailureKind.CUT if begun else FailureKind.PASSING
    try:
        yield
    except (RequestFailure, asyncio.CancelledError, GeneratorExit):
        raise
    except APIStatusError as error:
        headers, code = error.response.headers, error.code or error.type or ""
        raise of_status(error.status_code, headers, _words(error), datetime.now(UTC), code=str(code)) from None
    except APITimeoutError as error:
        sent = not isinstance(error.__cause__, _UNREACHABLE)
        raise RequestFailure(passing, "the endpoint was silent for too long", charged=sent) from None
    except TimeoutError:
        raise RequestFailure(passing, "the endpoint took too long", charged=True) from None
    except (APIConnectionError, httpx2.HTTPError) as error:
        raise _of_connection(error.__cause__ or error, passing, begun=begun) from None
    except APIError as error:  # an error in the middle of a stream
        raise _of_event(error) from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        said = f"the endpoint's answer cannot be read ({type(error).__name__})"
        raise RequestFailure(passing, said, charged=True) from None


def _of_connection(cause: BaseException, passing: FailureKind, *, begun: bool) -> RequestFailure:
    if isinstance(cause, _TooLargeError):
        return RequestFailure(FailureKind.INVALID, f"the answer is larger than {MOST_BYTES:,} bytes", charged=True)
    if isinstance(cause, _PackedError):
        return RequestFailure(FailureKind.INVALID, "the answer is compressed, which was not asked for", charged=True)
    said = brief(redact_text(str(cause)))
    if "CERTIFICATE_VERIFY_FAILED" in said or isinstance(cause, ssl.SSLCertVerificationError):
        return RequestFailure(FailureKind.REFUSED, f"its certificate is not valid for it ({said})")
    if isinstance(cause, httpx2.TimeoutException):
        said = "silent for too long"
    return RequestFailure(
        passing, f"the connection failed: {said or type(cause).__name__}", charged=begun or not _unsent(cause)
    )


def _unsent(cause: BaseException) -> bool:
    return isinstance(cause, _UNREACHABLE)


def _of_event(error: APIError) -> RequestFailure:
    code = str(error.code or "")  # some send a number
    status = int(code) if code.isdigit() and len(code) == 3 else 500
    failure = of_status(status, {}, redact_text(error.message), datetime.now(UTC), code=code)
    kind = FailureKind.CUT if failure.kind in (FailureKind.PASSING, FailureKind.BUSY) else failure.kind
    return RequestFailure(kind, failure.said, charged=True)


def _words(error: APIStatusError) -> str:
    """The server's own message, without what may be secret in it."""
    body = error.body
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        said = inner.get("message") if isinstance(inner, Mapping) else inner
        return redact_text(str(said if said is not None else json.dumps(dict(body), default=str)))
    return redact_text(str(body or ""))


def read_event(event: object) -> ChatPiece:
    """One event of a stream, whatever it holds: a field of another type than it should have counts as absent."""
    if not isinstance(event, Mapping):
        raise TypeError("an event is an object")
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    delta = choice.get("delta")
    delta = delta if isinstance(delta, Mapping) else {}
    calls = delta.get("tool_calls")
    return ChatPiece(
        text=_text(delta.get("content")) or "",
        reasoning=_text(delta.get("reasoning_content")) or _text(delta.get("reasoning")) or "",
        finish_reason=_text(choice.get("finish_reason")),
        tool_calls=tuple(dict(call) for call in calls if isinstance(call, Mapping)) if isinstance(calls, list) else (),
        use=read_use(event.get("usage")),
        model=_text(event.get("model")),
        fingerprint=_text(event.get("system_fingerprint")),
        id=_text(event.get("id")),
    )


def read_use(usage: object) -> TokenUse | None:
    """What a server says that a request took; None where it says nothing that makes sense."""
    if not isinstance(usage, Mapping):
        return None
    prompt, reply = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens", 0))
    if prompt is None or reply is None:
        return None
    details, written = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    thought = _count(written.get("reasoning_tokens")) if isinstance(written, Mapping) else None
    return TokenUse(prompt=prompt, cached=min(cached or 0, prompt), reply=reply, reasoning=min(thought or 0, reply))


def _count(value: object) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < 10**9 else None  # type: ignore[operator,return-value]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
