"""`nightjar dispatcher` with a chore that hangs in a named way, or always fails. Tests run it as a process.

python -m tests.hanging_dispatcher KIND FILE: the chore writes FILE when it is at it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from nightjar.pipeline.dispatch.dispatcher import Dispatcher
from nightjar.scripts.commands import dispatcher

FOREVER_S = 600
SOON_S = 3.0
"""In place of the deadline of a dispatcher."""


async def in_a_thread() -> None:
    await asyncio.to_thread(time.sleep, FOREVER_S)


async def in_the_loop() -> None:
    end = time.monotonic() + FOREVER_S
    while time.monotonic() < end:
        time.sleep(0.1)  # noqa: ASYNC251  # that is the point


async def uncancellable() -> None:
    while True:
        try:
            await asyncio.sleep(FOREVER_S)
        except asyncio.CancelledError:
            continue


async def failing() -> None:
    raise KeyError("judging")


KINDS: dict[str, Callable[[], Awaitable[None]]] = {
    work.__name__: work for work in (in_a_thread, in_the_loop, uncancellable, failing)
}


def main(kind: str, file: str) -> None:
    async def advance(_: Dispatcher) -> None:
        await asyncio.to_thread(Path(file).write_text, kind)
        await KINDS[kind]()

    Dispatcher.advance = advance  # type: ignore[method-assign, assignment]
    dispatcher.GONE_S = SOON_S
    dispatcher.dispatcher()


if __name__ == "__main__":
    main(*sys.argv[1:])
