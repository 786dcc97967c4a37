"""A question at a terminal, while the event loop goes on."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import sys

import pytest

from nightjar.scripts.views.asking import answer_to, can_ask


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


async def test_a_line_is_the_answer_and_the_loop_goes_on_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real pseudo-terminal; whoever stops the command is not held up by the question."""
    there, here = pty.openpty()
    with os.fdopen(here) as terminal, os.fdopen(there, "wb", 0) as typist:
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(sys, "stderr", Terminal())
        assert can_ask()
        asked = asyncio.create_task(answer_to("Begin? "))
        await asyncio.sleep(0)
        assert not asked.done()
        typist.write(b" n \n")
        assert await asked == "n"
        typist.write(b"\x04")  # Ctrl-D
        assert await answer_to("Begin? ") is None
        asked = asyncio.create_task(answer_to("Begin? "))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked


def test_nobody_is_asked_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    there, here = os.pipe()
    with open(there) as pipe, open(here, "w"):
        monkeypatch.setattr(sys, "stdin", pipe)
        assert not can_ask()
