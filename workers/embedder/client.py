"""The small embedder, for whoever needs an embedding now: starts its process where none runs, and asks it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from filelock import FileLock

from nightjar.config.errors import ContextError, EngineError, ModelError
from nightjar.config.interpreter import PYTHON
from nightjar.config.limited_child import HEAD, encode_frame
from nightjar.config.limited_process import bare_environment
from nightjar.workers.embedder.spec import READY, EmbedderSpec, read_embedder_spec

if TYPE_CHECKING:
    from nightjar.config.settings import Settings
    from nightjar.jobs.models import ModelFacts
    from nightjar.jobs.search.text_embedder import EmbedderOpener, Vectors

BATCH_TEXTS = 64
"""Texts in one request; between two others have their turn."""
BATCH_CHARS = 1_000_000
"""Of them together, so that a request stays under `MOST_REQUEST`; a longer text goes alone."""
CONNECT_S = 5.0
START_S = 120.0
"""How long another process may take to start it."""
_MODULE = "nightjar.workers.embedder.process"

PAUSES_S = (0.0, 0.2, 1.0)
"""After each failure. A process that is being killed still takes connections for a moment, and ends with them."""


class SmallEmbedder:
    """A `TextEmbedder` on the host's process. Used as a context, or closed; any number of tasks may ask at once."""

    def __init__(self, spec: EmbedderSpec) -> None:
        self._spec = spec
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def facts(self) -> ModelFacts:
        return self._spec.facts

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `TextEmbedder.embed`. A process that was killed meanwhile is started again."""
        parts = [await self._ask(batch) for batch in request_batches(texts)]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    async def close(self) -> None:
        """Leaves the process, which ends with its last user. Idempotent."""
        streams, self._streams = self._streams, None
        if streams is not None:
            streams[1].close()
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, texts: Sequence[str]) -> Vectors:
        async with self._lock:
            for pause_s in PAUSES_S:
                try:
                    return await self._try(texts)
                except (OSError, EOFError):
                    await self.close()
                await asyncio.sleep(pause_s)
            raise EngineError(
                f"The small embedder ({self.facts.name}) ended {len(PAUSES_S)} times while it embedded {len(texts)} "
                "texts. `nightjar doctor` shows the memory that is free."
            )

    async def _try(self, texts: Sequence[str]) -> Vectors:
        if self._streams is None:
            connection = await asyncio.to_thread(_connect, self._spec)
            self._streams = await asyncio.open_unix_connection(sock=connection)
        reader, writer = self._streams
        try:
            writer.write(encode_frame({"texts": list(texts)}))
            await writer.drain()
            (length,) = HEAD.unpack(await reader.readexactly(HEAD.size))
            answer = json.loads(await reader.readexactly(length))
            if "error" in answer:
                raise _ERRORS.get(answer["kind"], ModelError)(answer["error"])
            data = await reader.readexactly(4 * answer["count"] * answer["width"])
        except asyncio.CancelledError:  # the answer would be taken for the next question's
            await self.close()
            raise
        return np.frombuffer(data, "<f4").reshape(answer["count"], answer["width"])


def request_batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in their order, as many at a time as one request takes."""
    batch: list[str] = []
    chars = 0
    for text in texts:
        if batch and (len(batch) == BATCH_TEXTS or chars + len(text) > BATCH_CHARS):
            yield batch
            batch, chars = [], 0
        batch.append(text)
        chars += len(text)
    if batch:
        yield batch


_ERRORS: dict[str, type[Exception]] = {"ContextError": ContextError, "EngineError": EngineError}


async def open_embedder(settings: Settings, needed_by: str) -> SmallEmbedder:
    """The host's small embedder; its process starts with the first text.

    `needed_by`: what cannot be had without it, as the beginning of a sentence. Raises as `read_embedder_spec` does.
    """
    return SmallEmbedder(await asyncio.to_thread(read_embedder_spec, settings, needed_by))


def embedder_opener(settings: Settings) -> EmbedderOpener | None:
    """Opens the host's small embedder whenever it is needed for a while; None where none is set."""
    if settings.memory_model is None:
        return None

    @asynccontextmanager
    async def opened(needed_by: str) -> AsyncIterator[SmallEmbedder]:
        async with await open_embedder(settings, needed_by) as embedder:
            yield embedder

    return opened


def _connect(spec: EmbedderSpec) -> socket.socket:
    """A connection to the process, which is started where it does not answer. Raises ModelError, with what the model's
    load said, and OSError.

    Nobody only tries whether it answers: with its last connection it ends.
    """
    if (connection := _connected(spec.socket)) is not None:
        return connection
    with FileLock(spec.lock, timeout=START_S):
        if (connection := _connected(spec.socket)) is not None:
            return connection
        _start(spec)
        if (connection := _connected(spec.socket)) is not None:
            return connection
    raise ConnectionError(f"nobody listens at {spec.socket}")


def _start(spec: EmbedderSpec) -> None:
    environment = bare_environment() | {"CUDA_VISIBLE_DEVICES": ""}  # it never touches a card
    process = subprocess.Popen(
        [*PYTHON, "-m", _MODULE, os.fspath(spec.socket)],  # the socket only for whoever lists processes
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(spec.model_dump_json().encode())
    with process.stdout:
        said = process.stdout.readline().decode("utf-8", "replace").strip()
    threading.Thread(target=process.wait, name="embedder", daemon=True).start()  # it may outlive this user's need
    if said != READY:
        raise ModelError(f"The small embedder ({spec.facts.name}) could not start: {said or 'it ended without a word'}")


def _connected(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(CONNECT_S)
        connection.connect(os.fspath(path))
        connection.setblocking(False)
    except OSError:
        connection.close()
        return None
    return connection
