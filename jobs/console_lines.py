"""Lines that llama.cpp says in workers, in a capped Redis stream for whoever looks at a console.

They leave a worker without control characters, secrets and folders, and are lost without harm.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from redis.exceptions import RedisError, ResponseError

from nightjar.config.errors import ServiceError
from nightjar.config.redact import redact_text
from nightjar.jobs.queue import Doorbell

LINES = "nightjar:lines"
MOST_LINES = 2_000
LONGEST_LINE = 500
"""Characters; what is longer is cut."""
BATCH = 200
BLOCK_MS = 1_000
PAUSE_S = 0.5
_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PATH = re.compile(r"(?<![\w/])(?:~|\.{1,2})?(?:/[^\s/'\"`]+)*/([^\s/'\"`]*)")
_FILE = re.compile(r"[^\s'\"`=]*/([^\s/'\"`]+\.gguf)")


@dataclass(frozen=True, kw_only=True)
class ConsoleLine:
    """One line. `at`: milliseconds since 1970."""

    at: int
    worker: str
    level: str
    text: str


def plain_line(text: str) -> str:
    """The line without control characters, secrets and folders: of a path its last part is left."""
    shown = _FILE.sub(r"\1", _PATH.sub(r"\1", redact_text(_CONTROLS.sub("", text))))
    return shown if len(shown) <= LONGEST_LINE else f"{shown[:LONGEST_LINE]}..."


async def publish_lines(doorbell: Doorbell, worker: str, lines: Iterable[tuple[str, str]]) -> None:
    """Adds lines (level, text) that are plain already. Raises ServiceError."""
    async with doorbell.reached() as redis, redis.pipeline(transaction=False) as pipe:
        for level, text in lines:
            fields = {"worker": worker, "level": level, "text": text}
            pipe.xadd(LINES, fields, maxlen=MOST_LINES, approximate=True)
        await pipe.execute()


async def recent_lines(doorbell: Doorbell, limit: int) -> list[ConsoleLine]:
    """The newest lines, oldest first. Raises ServiceError."""
    async with doorbell.reached() as redis:
        rows = await redis.xrevrange(LINES, count=limit)
    return [_line(identity, fields) for identity, fields in reversed(rows)]


async def follow_lines(doorbell: Doorbell) -> AsyncIterator[list[ConsoleLine]]:
    """What is said from now on, without end. A Redis that is away is waited for."""
    after = "$"
    while True:
        try:
            async with doorbell.reached() as redis:
                try:
                    read = await redis.xread({LINES: after}, count=BATCH, block=BLOCK_MS)
                except ResponseError as error:
                    raise RedisError(str(error)) from error
        except ServiceError:
            after = "$"
            await asyncio.sleep(PAUSE_S)
            continue
        if read:
            rows = read[0][1]
            after = rows[-1][0]
            yield [_line(identity, fields) for identity, fields in rows]


def _line(identity: bytes, fields: dict[bytes, bytes]) -> ConsoleLine:
    def said(name: bytes) -> str:
        return fields.get(name, b"").decode("utf-8", "replace")

    at = int(identity.partition(b"-")[0])
    return ConsoleLine(at=at, worker=said(b"worker"), level=said(b"level"), text=said(b"text"))
