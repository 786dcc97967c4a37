"""What takes a while: waited for a moment, shared by all who ask, made again when it is old."""

from __future__ import annotations

import asyncio

import pytest

from nightjar.web.latest import Latest


async def test_it_is_made_once_for_all_who_ask_and_again_when_it_is_old() -> None:
    made, go = 0, asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        await go.wait()
        return made

    latest = Latest(make=make, fresh_s=1000)
    assert [await latest.look(0), await latest.look(0)] == [None, None]
    go.set()
    assert list(await asyncio.gather(latest.look(60), latest.look(60))) == [1, 1]
    assert await latest.look(60) == 1
    latest.fresh_s = -1
    assert await latest.look(60) == 2


async def test_what_fails_is_said_and_tried_again() -> None:
    async def make() -> int:
        raise OSError("gone")

    latest = Latest(make=make, fresh_s=-1)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            await latest.look(60)
