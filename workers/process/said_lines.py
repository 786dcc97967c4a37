"""What llama.cpp says in this worker, sent to consoles as it says it: best effort, and never waited for."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from nightjar.config.errors import ServiceError
from nightjar.config.logging import llama_log
from nightjar.jobs.console_lines import plain_line, publish_lines
from nightjar.jobs.periodic import end_task
from nightjar.jobs.queue import Doorbell

MOST_UNSENT = 500
"""The newest are kept: a load says about a hundred lines."""
SEND_EVERY_S = 0.25


class SaidLines:
    """Takes lines from any thread; a task of the event loop sends them."""

    def __init__(self, worker: str, folders: Iterable[str]) -> None:
        """`folders`: those whose names are taken out of lines, whatever they contain."""
        self._worker = worker
        self._folders = sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True)
        self._unsent: deque[tuple[str, str]] = deque(maxlen=MOST_UNSENT)

    def take(self, level: str, text: str) -> None:
        self._unsent.append((level, text))

    async def send(self, doorbell: Doorbell) -> None:
        """Sends what there is; a Redis that is away costs these lines."""
        lines = [self._unsent.popleft() for _ in range(len(self._unsent))]
        if lines:
            with contextlib.suppress(ServiceError):
                await publish_lines(doorbell, self._worker, [(level, self._plain(text)) for level, text in lines])

    def _plain(self, text: str) -> str:
        for folder in self._folders:
            text = text.replace(f"{folder}/", "")
        return plain_line(text)


@asynccontextmanager
async def lines_sent(said: SaidLines, doorbell: Doorbell) -> AsyncIterator[None]:
    """While the block runs llama.cpp's lines are sent."""

    async def send() -> None:
        while True:
            await asyncio.sleep(SEND_EVERY_S)
            await said.send(doorbell)

    llama_log.tap = said.take
    sending = asyncio.create_task(send())
    try:
        yield
    finally:
        llama_log.tap = None
        await end_task(sending)
        await said.send(doorbell)
        await doorbell.close()
