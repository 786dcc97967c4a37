"""The small embedder's process: `python -m nightjar.workers.embedder.process`, started by `client.py`.

It reads an `EmbedderSpec` from standard input, loads the model, listens at the socket, says "ready" and embeds for
whoever connects. It ends when nobody is connected any more, so that it is never left behind, however its users ended;
signals to a whole group of processes leave it to them, who still need it.

A request is a frame of JSON, {"texts": [...]}; the answer is one, {"count": n, "width": d} or {"error", "kind"}, and
behind the first the n x d vectors as float32, little-endian.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from nightjar.config.errors import NightjarError
from nightjar.config.limited_child import HEAD, encode_frame
from nightjar.workers.conversation.local_embedder import LocalEmbedder
from nightjar.workers.embedder.spec import MOST_REQUEST, READY, EmbedderSpec
from nightjar.workers.engine.loading import load

FIRST_S = 60.0
"""Nobody connected for so long after the start: whoever started it is gone."""


class EmbeddingServer:
    """Answers every connection until the last one is closed."""

    def __init__(self, embedder: LocalEmbedder) -> None:
        self._embedder = embedder
        self._open = 0
        self._left = asyncio.Event()

    async def serve(self, path: Path, say: Callable[[str], None]) -> None:
        """Binds the socket, says that it is ready, and returns when nobody is connected any more."""
        bound, inode = _bind(path)
        server = await asyncio.start_unix_server(self._answer, sock=bound)
        say(READY)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._left.wait(), FIRST_S)
        while self._open:
            self._left.clear()
            await self._left.wait()
        _unlink(path, inode)
        server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            while True:
                (length,) = HEAD.unpack(await reader.readexactly(HEAD.size))
                if length > MOST_REQUEST:
                    break
                question = json.loads((await reader.readexactly(length)).decode("utf-8", "surrogatepass"))
                for part in await self._embed(question["texts"]):
                    writer.write(part)
                await writer.drain()
                if self._embedder.stats().failure is not None:
                    os._exit(1)  # a thread that hangs in native code cannot be joined; the next user starts another
        except (OSError, EOFError, ValueError):  # it went away, or speaks nonsense
            pass
        finally:
            writer.close()
            self._open -= 1
            if not self._open:
                self._left.set()

    async def _embed(self, texts: Sequence[str]) -> list[bytes]:
        try:
            embeddings = await self._embedder.embed(texts)
        except NightjarError as error:
            return [encode_frame({"error": str(error), "kind": type(error).__name__})]
        vectors = np.array([embedding.vector for embedding in embeddings], "<f4")
        width = vectors.shape[1] if len(embeddings) else 0
        return [encode_frame({"count": len(embeddings), "width": width}), vectors.tobytes()]


def _bind(path: Path) -> tuple[socket.socket, int]:
    """The socket, and the inode of its file. Whoever starts this process holds the lock, so what lies there is dead."""
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(os.fspath(path))
    return bound, path.stat().st_ino


def _unlink(path: Path, inode: int) -> None:
    with contextlib.suppress(OSError):
        if path.stat().st_ino == inode:  # else another process has taken over
            path.unlink()


async def _work(spec: EmbedderSpec, say: Callable[[str], None]) -> None:
    try:
        engine = await load(spec.path, settings=spec.load, facts=spec.facts, gpu="none", adapters=spec.adapters)
    except NightjarError as error:
        say(" ".join(str(error).split()))
        return
    embedder = LocalEmbedder(engine)
    await EmbeddingServer(embedder).serve(spec.socket, say)
    await embedder.close()


def main() -> None:
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    spec = EmbedderSpec.model_validate_json(sys.stdin.buffer.read())
    asyncio.run(_work(spec, lambda line: print(line, file=answers, flush=True)))


if __name__ == "__main__":
    main()
