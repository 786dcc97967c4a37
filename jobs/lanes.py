"""Work that is done side by side, a few pieces at a time: what takes long holds up only the lane that it is in."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
LaneWork = Callable[[], Awaitable[None]]
Take = Callable[[Collection[str], int], Awaitable[Mapping[str, LaneWork]]]
LOOK_EVERY_S = 1.0
AGAIN_S = 5.0
"""What has just been done is not taken again for so long, whatever became of it."""


async def work_in_lanes(lanes: int, take: Take, *, stop: asyncio.Event | None = None) -> int:
    """Does what `take` gives, at most `lanes` pieces at once, until there is nothing left; returns how many.

    `take(not those, so many)` gives new pieces by name. While one of them takes long it is asked again, every second
    and whenever a lane becomes free. Once `stop` is set or something fails, nothing more is taken; those under way are
    finished, then the first error is raised.
    """
    under_way: dict[str, asyncio.Task[None]] = {}
    done: dict[str, float] = {}
    errors: list[BaseException] = []
    begun = 0
    try:
        while True:
            if not errors and len(under_way) < lanes and not (stop is not None and stop.is_set()):
                done = {name: at for name, at in done.items() if monotonic() - at < AGAIN_S}
                try:
                    for name, work in (await take({*under_way, *done}, lanes - len(under_way))).items():
                        under_way[name] = asyncio.create_task(_begun(work))
                        begun += 1
                except Exception as error:
                    errors.append(error)
            if not under_way:
                break
            ended, _ = await asyncio.wait(under_way.values(), timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for name in [name for name, task in under_way.items() if task in ended]:
                done[name] = monotonic()
                errors += _error_of(under_way.pop(name))
    finally:
        for task in under_way.values():
            task.cancel()
        await asyncio.gather(*under_way.values(), return_exceptions=True)
    if errors:
        raise errors[0]
    return begun


async def _begun(work: LaneWork) -> None:
    await work()


def _error_of(task: asyncio.Task[None]) -> list[BaseException]:
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    return [] if error is None else [error]


async def all_together(work: Iterable[Awaitable[T]]) -> list[T]:
    """All results, in order. Where one fails or the caller is cancelled, the others are ended first."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
