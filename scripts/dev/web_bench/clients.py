"""Clients in a process of their own, on plain sockets: what they cost is not the server's. `python -m ... KIND`.

The process reads one line of JSON, says `ready`, reads another line, and answers with one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nightjar.config.interpreter import PYTHON

LIMIT = 2**24
_Wanted = Mapping[str, Any]


class BenchClients:
    """The other side: starts the process and speaks to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def up(cls, kind: str, wanted: _Wanted) -> AsyncIterator[BenchClients]:
        """Ready when the block begins."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *PYTHON, "-m", __name__, kind, stdin=pipe, stdout=pipe, limit=LIMIT * 8
        )
        clients = cls(process)
        try:
            assert await clients._asked(wanted) == "ready"
            yield clients
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def end(self) -> Any:
        """Begins the work, or ends the listening; what came of it."""
        return await self._asked({})

    async def _asked(self, wanted: _Wanted) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(dict(wanted)).encode() + b"\n")
        await self._process.stdin.drain()
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def opened_stream(
    host: str, head: str, body: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a request was sent, and its answer's headers were read. Raises RuntimeError but for 200."""
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port), limit=LIMIT)
    try:
        length = f"content-length: {len(body)}\r\n" if body else ""
        writer.write(f"{head}\r\nhost: {host}\r\n{length}connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        answered = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answered.partition(b"\r\n")[0]:
            raise RuntimeError(answered.decode("latin-1") + (await reader.read(2000)).decode("latin-1"))
        yield reader, writer
    finally:
        writer.close()


async def listen_as_browsers(wanted: _Wanted, end: asyncio.Event) -> list[Any]:
    """Streams of events and of texts, all open: [stream, job, fence, turn, characters, nanoseconds] of every text, and
    [stream, job, null, null, null, nanoseconds] of what moved; and how streams failed. With `deaf` nothing is kept."""
    heard: list[Any] = []
    tasks = [
        asyncio.create_task(_listen(number, wanted["host"], stream, None if wanted.get("deaf") else heard))
        for number, stream in enumerate(wanted["streams"])
    ]
    await asyncio.sleep(wanted.get("settle_s", 1.0))
    print(json.dumps("ready"), flush=True)
    await end.wait()
    failed = [str(task.exception()) for task in tasks if task.done() and task.exception() is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return [heard, failed]


async def _listen(number: int, host: str, stream: _Wanted, heard: list[Any] | None) -> None:
    head = f"GET {stream['path']} HTTP/1.1\r\ncookie: {stream['cookie']}"
    async with opened_stream(host, head) as (reader, _):
        while line := await reader.readline():
            if heard is None or not line.startswith(b"data: "):
                continue
            now = time.monotonic_ns()
            told = json.loads(line[6:])
            if isinstance(told, list):
                heard += [[number, each.get("job"), None, None, None, now] for each in told]
            elif "offset" in told:
                end = told["offset"] + len(told["text"])
                heard.append([number, stream["job"], told["fence"], told["turn"] - 1, end, now])


async def chat_as_programs(wanted: _Wanted, end: asyncio.Event) -> list[Any]:
    """So many streaming clients, each with its share of the prompts, one after the other: [nanoseconds of the request,
    of its first text, of its end, tokens] of each, in the order of the prompts."""
    print(json.dumps("ready"), flush=True)
    await end.wait()
    prompts = wanted["prompts"]
    results: list[Any] = [None] * len(prompts)
    left = iter(range(len(prompts)))

    async def client() -> None:
        for number in left:
            results[number] = await ask_streamed(wanted, prompts[number])

    await asyncio.gather(*(client() for _ in range(wanted["clients"])))
    return results


async def ask_streamed(wanted: _Wanted, prompt: str) -> list[int | None]:
    """One request to /v1, streamed and never from the cache."""
    asked = {"messages": [{"role": "user", "content": prompt}], "stream": True, **wanted["asked"]}
    body = json.dumps(asked | {"stream_options": {"include_usage": True}}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {wanted['token']}\r\n"
        "content-type: application/json\r\nnightjar-cache: off"
    )
    first: int | None = None
    tokens: int | None = None
    began = time.monotonic_ns()
    async with opened_stream(wanted["host"], head, body) as (reader, _):
        while line := await reader.readline():
            if not line.startswith(b"data: {"):
                continue
            told = json.loads(line[6:])
            if "error" in told:
                raise RuntimeError(told["error"]["message"])
            if first is None and any(choice["delta"].get("content") for choice in told["choices"]):
                first = time.monotonic_ns()
            if told.get("usage"):
                tokens = told["usage"]["completion_tokens"]
    return [began, first, time.monotonic_ns(), tokens]


KINDS = {"listen": listen_as_browsers, "chat": chat_as_programs}


async def work_as_clients(kind: str) -> None:
    """The process."""
    wanted = json.loads(await asyncio.to_thread(sys.stdin.readline))
    end = asyncio.Event()

    async def ended() -> None:
        await asyncio.to_thread(sys.stdin.readline)
        end.set()

    waiting = asyncio.create_task(ended())
    print(json.dumps(await KINDS[kind](wanted, end)), flush=True)
    waiting.cancel()


if __name__ == "__main__":
    asyncio.run(work_as_clients(sys.argv[1]))
