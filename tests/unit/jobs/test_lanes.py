"""Work side by side: slow pieces hold up nobody, errors let the others finish, nothing new is taken after a stop."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial

import pytest

from nightjar.jobs import lanes
from nightjar.jobs.lanes import LaneWork, work_in_lanes


class Pieces:
    """Gives the named pieces of work in order; those named slow wait for `release`."""

    def __init__(self, *names: str) -> None:
        self.waiting = list(names)
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.release = asyncio.Event()

    async def take(self, recent: Collection[str], free: int) -> dict[str, LaneWork]:
        taken = [name for name in self.waiting if name not in recent][:free]
        self.waiting = [name for name in self.waiting if name not in taken]
        return {name: partial(self._do, name) for name in taken}

    async def _do(self, name: str) -> None:
        self.begun.append(name)
        if name.startswith("slow"):
            await self.release.wait()
        if name.startswith("bad"):
            raise ValueError(name)
        self.ended.append(name)


async def test_a_slow_piece_holds_up_only_its_lane() -> None:
    """What comes up while it is under way is done, too."""
    pieces = Pieces("slow", "a", "b", "c")
    working = asyncio.create_task(work_in_lanes(2, pieces.take))
    while pieces.ended != ["a", "b", "c"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    pieces.waiting.append("later")
    while pieces.ended != ["a", "b", "c", "later"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert not working.done()
    pieces.release.set()
    assert await working == 5


async def test_no_more_than_there_are_lanes() -> None:
    pieces = Pieces("slow 1", "slow 2", "slow 3")
    working = asyncio.create_task(work_in_lanes(2, pieces.take))
    await asyncio.sleep(0.05)
    assert pieces.begun == ["slow 1", "slow 2"]
    pieces.release.set()
    assert await working == 3


async def test_after_an_error_the_others_finish_and_nothing_is_begun() -> None:
    pieces = Pieces("slow", "bad", "never")
    working = asyncio.create_task(work_in_lanes(2, pieces.take))
    await asyncio.sleep(0.05)
    pieces.release.set()
    with pytest.raises(ValueError, match="bad"):
        await working
    assert (pieces.begun, pieces.ended) == (["slow", "bad"], ["slow"])


async def test_after_a_stop_nothing_is_begun() -> None:
    pieces, stop = Pieces("slow", "never"), asyncio.Event()
    working = asyncio.create_task(work_in_lanes(1, pieces.take, stop=stop))
    await asyncio.sleep(0.05)
    stop.set()
    pieces.release.set()
    assert await working == 1
    assert pieces.begun == ["slow"]


async def test_cancelling_ends_what_is_under_way() -> None:
    pieces = Pieces("slow")
    working = asyncio.create_task(work_in_lanes(1, pieces.take))
    await asyncio.sleep(0.05)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    pieces.release.set()
    await asyncio.sleep(0.05)
    assert (pieces.begun, pieces.ended) == (["slow"], [])


async def test_what_has_just_been_done_is_not_taken_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece that is still there when it was done, since another process has it, is no busy loop."""
    monkeypatch.setattr(lanes, "AGAIN_S", 3600.0)
    asked: list[set[str]] = []

    async def nothing() -> None:
        pass

    async def take(recent: Collection[str], _: int) -> dict[str, LaneWork]:
        asked.append(set(recent))
        return {} if "held" in recent else {"held": nothing}

    assert await work_in_lanes(1, take) == 1
    assert asked == [set(), {"held"}]
