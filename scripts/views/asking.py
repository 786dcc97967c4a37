"""Asks a person at the terminal, while the event loop goes on."""

from __future__ import annotations

import asyncio
import sys


def can_ask() -> bool:
    """Whether somebody sits there who sees the question and can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


async def answer_to(question: str) -> str | None:
    """The line that is typed, without the white space around it; None where there is no more to come (Ctrl-D).

    Ctrl-C ends the waiting at once.
    """
    sys.stderr.write(question)
    sys.stderr.flush()
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not typed.done():
            typed.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        line = await typed
        return line.strip() if line else None
    finally:
        loop.remove_reader(sys.stdin)
